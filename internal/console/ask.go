package console

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// Confirm asks a question that is answered by y or yes; everything else is no.
// Only an [Console.Interactive] console can be asked.
func (c *Console) Confirm(ctx context.Context, question string) (bool, error) {
	answer, err := c.ask(ctx, CleanLines(question)+" [y/N] ")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// Type asks for a word to be typed, which is harder to do by accident.
func (c *Console) Type(ctx context.Context, word string) (bool, error) {
	answer, err := c.ask(ctx, fmt.Sprintf("Type %s to continue: ", c.err.bold(Clean(word))))
	return answer == word, err
}

// ask reads one line, or gives up when ctx ends.
func (c *Console) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(c.Err, prompt)
	type reply struct {
		line string
		err  error
	}
	replies, in := make(chan reply, 1), c.In
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		if line != "" {
			err = nil // the last line may lack its end
		}
		replies <- reply{line, err}
	}()
	select {
	case r := <-replies:
		if r.err != nil {
			return "", fmt.Errorf("read the answer: %w", r.err)
		}
		return strings.TrimSpace(r.line), nil
	case <-ctx.Done():
		fmt.Fprintln(c.Err)
		return "", ctx.Err()
	}
}

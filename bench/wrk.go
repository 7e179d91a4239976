package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/fault"
)

// figures are what the load generator saw.
type figures struct {
	perSecond float64
	requests  int
	p99       time.Duration
}

// wrk makes a load for as long as the options say. An answer other than 2xx or
// a broken connection is an error: the figures would be of something else.
func wrk(ctx context.Context, options options, base string, load load) (figures, error) {
	connections := options.connections
	if load.connections > 0 {
		connections = load.connections
	}
	arguments := []string{"-t2", "-c" + strconv.Itoa(connections), "-d" + strconv.Itoa(max(1, int(options.duration.Seconds()))) + "s", "--latency"}
	if load.token != "" {
		arguments = append(arguments, "-H", "Authorization: Token "+load.token)
	}
	var files []*os.File
	if text := script(load); text != "" {
		file, err := inMemory(text)
		if err != nil {
			return figures{}, fmt.Errorf("write wrk's script: %w", err)
		}
		defer file.Close()
		files, arguments = []*os.File{file}, append(arguments, "-s", "/proc/self/fd/3")
	}
	command := exec.CommandContext(ctx, "wrk", append(arguments, base+load.path)...)
	command.ExtraFiles = files // from 3 on
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return figures{}, ctx.Err() // wrk has only been interrupted, too
	}
	if errors.Is(err, exec.ErrNotFound) {
		return figures{}, fault.WithHint(err, "Install it: apt-get install wrk")
	}
	if err != nil {
		return figures{}, fmt.Errorf("wrk: %w\n%s", err, output)
	}
	return parseWrk(string(output))
}

// inMemory makes a file in memory, which is gone when this process ends.
func inMemory(text string) (*os.File, error) {
	number, err := unix.MemfdCreate("script", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(number), "script")
	if _, err := file.WriteString(text); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// script returns what wrk takes in Lua, for what has no option; or nothing.
func script(load load) string {
	if load.body != "" {
		return fmt.Sprintf("wrk.method = \"POST\"\nwrk.body = %q\nwrk.headers[\"Content-Type\"] = \"application/json\"\n", load.body)
	}
	if len(load.turns) == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("local requests, turn = {}, 0\nfunction init()\n")
	for _, request := range load.turns {
		headers := "{}"
		if request.token != "" {
			headers = fmt.Sprintf("{Authorization = %q}", "Token "+request.token)
		}
		fmt.Fprintf(&text, "\ttable.insert(requests, wrk.format(\"GET\", %q, %s))\n", request.path, headers)
	}
	text.WriteString("end\nfunction request()\n\tturn = turn % #requests + 1\n\treturn requests[turn]\nend\n")
	return text.String()
}

var (
	wrkPerSecond = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkRequests  = regexp.MustCompile(`(\d+) requests in`)
	wrkP99       = regexp.MustCompile(`99%\s+([\d.]+(?:us|ms|s|m))`)
	wrkTrouble   = regexp.MustCompile(`(?m)^\s*(?:Non-2xx|Socket errors).*$`)
)

func parseWrk(output string) (figures, error) {
	if trouble := wrkTrouble.FindString(output); trouble != "" {
		return figures{}, fmt.Errorf("wrk: %s", trouble)
	}
	perSecond, requests, p99 := wrkPerSecond.FindStringSubmatch(output), wrkRequests.FindStringSubmatch(output), wrkP99.FindStringSubmatch(output)
	if perSecond == nil || requests == nil || p99 == nil {
		return figures{}, fmt.Errorf("wrk's output has no figures:\n%s", output)
	}
	var f figures
	var errs [3]error
	f.perSecond, errs[0] = strconv.ParseFloat(perSecond[1], 64)
	f.requests, errs[1] = strconv.Atoi(requests[1])
	f.p99, errs[2] = time.ParseDuration(p99[1])
	return f, errors.Join(errs[:]...)
}

// Package alert sends short messages to where people look: chats, mail, phones
// and webhooks. A message quotes foreign text, so [Plain] removes markup,
// mentions and escape sequences from it. An [Outbox] keeps messages until they
// have arrived.
//
// It knows nothing of Kubernetes.
package alert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"berth/internal/fault"
	"berth/internal/mask"
)

// A Destination is one place that messages go to.
type Destination struct {
	// ID tells destinations apart and gives nothing of their URLs away.
	ID string
	// Name is for people: the service, as "slack", or a webhook's host.
	Name string
	// address is the URL, which is secret. A webhook's is one of HTTP, and any
	// other one of shoutrrr's services.
	address *url.URL
}

// forms is the hint for a URL that cannot be used.
const forms = "slack://hook:T…-B…-X…@webhook, discord://TOKEN@ID, telegram://TOKEN@telegram?chats=…, ntfy://ntfy.sh/TOPIC, " +
	"smtp://USER:PASSWORD@HOST:587/?from=…&to=…, or a webhook that takes Slack's JSON, https://…: see docs/alerts.md"

// Parse reads the URLs of destinations, which blanks or commas part. Its errors
// name the one that is wrong by its place, and never what it holds.
func Parse(text string) ([]Destination, error) {
	var all []Destination
	seen := map[string]bool{}
	for i, raw := range split(text) {
		d, err := parse(raw)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("URL %d: %w", i+1, err), "forms are: %s", forms)
		}
		if !seen[d.ID] {
			all = append(all, d)
		}
		seen[d.ID] = true
	}
	return all, nil
}

// next is where a URL begins behind a comma. A comma within a URL is its own, as
// in a list of receivers.
var next = regexp.MustCompile(`,+[a-zA-Z][a-zA-Z0-9+.-]*://`)

func split(text string) []string {
	var all []string
	for _, field := range strings.Fields(text) {
		for {
			at := next.FindStringIndex(field)
			if at == nil {
				break
			}
			all = append(all, field[:at[0]])
			field = strings.TrimLeft(field[at[0]:], ",")
		}
		all = append(all, strings.TrimRight(field, ","))
	}
	kept := all[:0]
	for _, raw := range all {
		if raw = strings.TrimLeft(raw, ","); raw != "" {
			kept = append(kept, raw)
		}
	}
	return kept
}

func parse(raw string) (Destination, error) {
	address, err := url.Parse(raw)
	if err != nil || address.Scheme == "" {
		return Destination{}, errors.New("it is not a URL") // whose text may be a secret
	}
	sum := sha256.Sum256([]byte(raw))
	d := Destination{ID: hex.EncodeToString(sum[:4]), Name: address.Scheme, address: address}
	switch address.Scheme {
	case "http", "https":
		if address.Hostname() == "" {
			return d, errors.New("it names no host")
		}
		switch host := "." + strings.ToLower(address.Hostname()); {
		case strings.HasSuffix(host, ".ntfy.sh"):
			return d, errors.New("a topic of ntfy is given as ntfy://ntfy.sh/TOPIC: it would show JSON")
		case (strings.HasSuffix(host, ".discord.com") || strings.HasSuffix(host, ".discordapp.com")) && !strings.HasSuffix(address.Path, "/slack"):
			return d, errors.New("a webhook of Discord is given as discord://TOKEN@ID, after https://discord.com/api/webhooks/ID/TOKEN")
		}
		d.Name = address.Hostname()
		return d, nil
	case "logger":
		return d, errors.New("logger sends nothing")
	case "matrix":
		// To look closer would log in.
		if address.Hostname() == "" || address.User == nil {
			return d, errors.New("it is not a URL of matrix, matrix://USER:PASSWORD@HOST/?rooms=…")
		}
		return d, nil
	}
	scheme, _, _ := strings.Cut(address.Scheme, "+")
	if _, err := new(router.ServiceRouter).NewService(scheme); err != nil {
		return d, fmt.Errorf("there is no service %q", scheme)
	}
	if _, err := new(router.ServiceRouter).Locate(raw); err != nil {
		return d, fmt.Errorf("it is not a URL of %s", scheme)
	}
	return d, nil
}

// Port is the TCP port that the destination is reached on, as far as its URL
// says; 443 otherwise.
func (d Destination) Port() int {
	if port, err := strconv.Atoi(d.address.Port()); err == nil {
		return port
	}
	switch scheme := d.address.Scheme; {
	case scheme == "smtp":
		return 25
	case scheme == "http" || strings.HasSuffix(scheme, "+http") || isSet(d.address.Query(), "disabletls"):
		return 80
	}
	return 443
}

func isSet(query url.Values, key string) bool {
	for name := range query {
		if value := strings.ToLower(query.Get(name)); strings.EqualFold(name, key) {
			return value == "yes" || value == "true" || value == "1"
		}
	}
	return false
}

// Message is the text for one destination.
type Message struct {
	// Title says it in one line, Text has the rest.
	Title, Text string
}

// sendTime bounds one attempt to send a message.
const sendTime = 20 * time.Second

// refused is the error of a service that answers, and says no.
type refused struct {
	error
	// wait is when to come back, if the service says so.
	wait time.Duration
	// message is true if it is this message that the service does not take: it may
	// take another.
	message bool
}

// refusesMessage finds, in the words of shoutrrr's services, an answer that is
// about the message (RFC 9110 15.5: bad request, content too large,
// unprocessable content).
var refusesMessage = regexp.MustCompile(`(?i)\b(400|413|422)\b|\bbad request\b`)

// Send sends a message. Its errors have nothing of the URL that is secret.
func (d Destination) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sendTime, fmt.Errorf("no answer within %s", sendTime))
	defer cancel()
	if d.address.Scheme == "http" || d.address.Scheme == "https" {
		return d.hide(d.post(ctx, m))
	}
	sent := make(chan error, 1)
	go func() { sent <- d.shout(m) }()
	select {
	case err := <-sent:
		return d.hide(err)
	case <-ctx.Done():
		// The service's own time limits end what goes on.
		return context.Cause(ctx)
	}
}

// shout sends a message by one of shoutrrr's services. Only mail has a title
// apart: elsewhere it is the first line.
func (d Destination) shout(m Message) error {
	service, err := new(router.ServiceRouter).Locate(d.address.String())
	if err != nil {
		return err
	}
	params := types.Params{}
	if d.address.Scheme == "smtp" {
		params.SetTitle(m.Title)
	}
	err = service.Send(m.Title+"\n"+m.Text, &params)
	if err != nil && refusesMessage.MatchString(err.Error()) {
		return refused{error: err, message: true}
	}
	return err
}

// posts follows no redirection that would make a GET of a message: what is there answers
// 200, and nobody has read it.
func posts(request *http.Request, before []*http.Request) error {
	const most = 5
	if request.Method != http.MethodPost || len(before) > most {
		return http.ErrUseLastResponse
	}
	return nil
}

// post sends a message to a webhook that takes Slack's JSON, as many do.
func (d Destination) post(ctx context.Context, m Message) error {
	body, err := json.Marshal(map[string]string{"text": m.Title + "\n" + m.Text})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.address.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "berth")
	client := *http.DefaultClient
	client.CheckRedirect = posts
	response, err := client.Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16)); err != nil {
		return err
	}
	if response.StatusCode/100 == 2 {
		return nil
	}
	no := refused{error: fmt.Errorf("the server answers %s", response.Status)}
	no.wait = retryAfter(response.Header.Get("Retry-After"), time.Now())
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		no.message = true
	}
	return no
}

// retryAfter reads the header of that name: seconds or a date, at most a day; 0
// where it says neither.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(most.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, at.Sub(now)), most)
	}
	return 0
}

// hide takes what is secret of the URL out of an error.
func (d Destination) hide(err error) error {
	if err == nil {
		return nil
	}
	secrets := []string{d.address.String(), d.address.RequestURI(), d.address.Opaque}
	if d.address.User != nil {
		password, _ := d.address.User.Password()
		secrets = append(secrets, d.address.User.Username(), password)
		secrets = append(secrets, strings.Split(d.address.User.Username()+"-"+password, "-")...)
	}
	secrets = append(secrets, strings.Split(d.address.Path, "/")...)
	for _, values := range d.address.Query() {
		secrets = append(secrets, values...)
	}
	text := Plain(mask.Values(secrets)(err.Error()))
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	var no refused
	if errors.As(err, &no) {
		no.error = errors.New(text)
		return no
	}
	return errors.New(text)
}

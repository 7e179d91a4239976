package ingress

import (
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// The values of annotations, as F5's controller and NGINX read them:
// https://nginx.org/en/docs/syntax.html. Each parser returns the value as it is
// to be written, so that what NGINX would refuse never gets there.

// maxNumber keeps sizes and times from overflowing in NGINX.
const maxNumber = 1 << 40

var sizePattern = regexp.MustCompile(`^([0-9]{1,15})([kKmMgG]?)$`)

// parseBytes reads 104857600, 64k, 8m or 1g.
func parseBytes(value string) (int64, error) {
	m := sizePattern.FindStringSubmatch(strings.TrimSpace(value))
	if m == nil {
		return 0, fmt.Errorf("%q: want a size such as 1048576, 64k, 8m", value)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", value, err)
	}
	factor := map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[strings.ToLower(m[2])]
	if n > maxNumber/factor {
		return 0, fmt.Errorf("%q: more than 1024g", value)
	}
	return n * factor, nil
}

// parseOffset reads the size of a body or of a file. 0 means no limit.
func parseOffset(value string) (string, error) {
	n, err := parseBytes(value)
	return formatBytes(n), err
}

// parseSize reads the size of a buffer: at least 1k, at most 16m.
func parseSize(value string) (string, error) {
	n, err := parseBytes(value)
	if err == nil && (n < 1<<10 || n > 16<<20) {
		err = fmt.Errorf("%q: want between 1k and 16m", value)
	}
	return formatBytes(n), err
}

func formatBytes(n int64) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "m"
	case n > 0 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "k"
	}
	return strconv.FormatInt(n, 10)
}

// timePattern is NGINX's: units from years to milliseconds in this order; a
// number without a unit, at the end, is seconds.
var timePattern = regexp.MustCompile(`^(\d{1,9}y)?\s*(\d{1,9}M)?\s*(\d{1,9}w)?\s*(\d{1,9}d)?\s*(\d{1,9}h)?\s*(\d{1,9}m)?\s*(\d{1,9}s)?\s*(\d{1,9}ms)?\s*(\d{1,9})?$`)

// timeUnits are the milliseconds of each group of timePattern.
var timeUnits = []int64{31536000000, 2592000000, 604800000, 86400000, 3600000, 60000, 1000, 1, 1000}

// maxTime is below the 2^31 milliseconds that NGINX can hold in one timer on any
// machine.
const maxTime = 24 * 86400000

// parseTime reads 90s, 1h30m, 1d, 500ms or 0.
func parseTime(value string) (string, error) {
	value = strings.TrimSpace(value)
	m := timePattern.FindStringSubmatch(value)
	if m == nil || value == "" {
		return "", fmt.Errorf("%q: want a time such as 90s, 1h30m, 1d", value)
	}
	var total int64
	for i, part := range m[1:] {
		digits := strings.TrimRight(part, "yMwdhms")
		if digits == "" {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return "", fmt.Errorf("%q: %w", value, err)
		}
		total += n * timeUnits[i]
	}
	if total > maxTime {
		return "", fmt.Errorf("%q: more than 24 days", value)
	}
	if total%1000 == 0 {
		return strconv.FormatInt(total/1000, 10) + "s", nil
	}
	return strconv.FormatInt(total, 10) + "ms", nil
}

// parseTimeout reads a time that is not 0, with which nothing could be served.
func parseTimeout(value string) (string, error) {
	out, err := parseTime(value)
	if err == nil && out == "0s" {
		err = fmt.Errorf("%q: want more than 0", value)
	}
	return out, err
}

// parseSwitch reads a boolean and writes NGINX's on or off.
func parseSwitch(value string) (string, error) {
	on, err := parseBool(value)
	if err != nil {
		return "", err
	}
	if on {
		return "on", nil
	}
	return "off", nil
}

func parseBool(value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	on, err := strconv.ParseBool(strings.TrimSpace(value))
	if err != nil {
		return false, fmt.Errorf("%q: want true or false", value)
	}
	return on, nil
}

func parseNumber(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q: want a number from %d to %d", value, least, most)
	}
	return n, nil
}

// between makes a parser of whole numbers.
func between(least, most int) func(string) (string, error) {
	return func(value string) (string, error) {
		n, err := parseNumber(value, least, most)
		return strconv.Itoa(n), err
	}
}

// oneOf makes a parser of words.
func oneOf(words ...string) func(string) (string, error) {
	return func(value string) (string, error) {
		for _, word := range words {
			if value == word {
				return word, nil
			}
		}
		return "", fmt.Errorf("%q: want one of %s", value, strings.Join(words, ", "))
	}
}

// fields splits a list at commas, or at blanks where there is none, and leaves
// out what is empty.
func fields(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}

// parseNetworks reads addresses and networks: 10.0.0.0/8, 2001:db8::1.
func parseNetworks(value string) ([]string, error) {
	var all []string
	for _, text := range fields(value) {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			all = append(all, prefix.Masked().String())
			continue
		}
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return nil, fmt.Errorf("%q: want addresses or networks such as 10.0.0.0/8", text)
		}
		all = append(all, address.String())
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%q: want at least one network", value)
	}
	return all, nil
}

// headerPattern is a field name of RFC 9110, without what NGINX would not pass.
var headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// textPattern is text that means nothing to NGINX: no variable, quote, control
// character.
var textPattern = regexp.MustCompile(`^[ -~]{0,512}$`)

func parseText(value string) (string, error) {
	if !textPattern.MatchString(value) || strings.ContainsAny(value, `$"\`) {
		return "", fmt.Errorf(`%q: want at most 512 printable ASCII characters without $, " and \`, value)
	}
	return value, nil
}

func parseHeaderNames(value string) ([]string, error) {
	names := fields(value)
	for _, name := range names {
		if !headerPattern.MatchString(name) {
			return nil, fmt.Errorf("%q: want names of header fields", name)
		}
	}
	return names, nil
}

// parseExpression checks a regular expression for a path. It must be one that
// both Go's syntax and NGINX's know, and cheap: a repetition within an unbounded
// repetition lets one request occupy a worker.
func parseExpression(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("path %q: want a path that begins with /", path)
	}
	if len(path) > maxPathLength || !textPattern.MatchString(path) || strings.Contains(path, `"`) {
		return fmt.Errorf(`path %.40q: want at most 512 printable ASCII characters without "`, path)
	}
	parsed, err := syntax.Parse(path, syntax.Perl)
	if err != nil {
		return fmt.Errorf("path %q: %w", path, err)
	}
	if named(parsed) {
		return fmt.Errorf("path %q: a named group would set a variable of NGINX: write (…)", path)
	}
	if nested(parsed, false) {
		return fmt.Errorf("path %q: a repetition within a repetition takes too long to match", path)
	}
	return nil
}

// named reports whether a group has a name. NGINX makes a variable of it, which may be one
// of its own or of ours: the host that an application is told, whose bodies are counted.
func named(e *syntax.Regexp) bool {
	return e.Op == syntax.OpCapture && e.Name != "" || slices.ContainsFunc(e.Sub, named)
}

func nested(e *syntax.Regexp, within bool) bool {
	repeats := e.Op == syntax.OpStar || e.Op == syntax.OpPlus || e.Op == syntax.OpRepeat
	if repeats && within {
		return true
	}
	for _, sub := range e.Sub {
		if nested(sub, within || repeats) {
			return true
		}
	}
	return false
}

package scaffold

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// takePorts takes the first TCP port of a list like EXPOSE's, and notes the
// others.
func (d *Draft) takePorts(file, key string, list []string) {
	var tcp []int
	for _, port := range list {
		numbers, protocol, _ := strings.Cut(port, "/")
		first, _, isRange := strings.Cut(numbers, "-")
		switch n := number(first); {
		case protocol != "" && !strings.EqualFold(protocol, "tcp"):
			d.note(file, "%s %s: only HTTP comes in, over TCP", key, port)
		case n == 0:
			d.note(file, "%s %.60q is no port", key, port)
		default:
			if isRange {
				d.note(file, "%s %s: one port serves, not a range", key, port)
			}
			if !slices.Contains(tcp, n) {
				tcp = append(tcp, n)
			}
		}
	}
	if len(tcp) == 0 {
		return
	}
	fill(&d.Port, tcp[0])
	var others []string
	for _, n := range tcp {
		if n != d.Port {
			others = append(others, strconv.Itoa(n))
		}
	}
	if len(others) > 0 {
		d.note(file, "%s %s: one port serves, which is %d", key, strings.Join(others, " "), d.Port)
	}
}

// portOf returns the port that a command seems to listen on, or 0.
func portOf(c Command) int {
	text := c.Text
	if len(c.List) > 0 {
		text = strings.Join(c.List, " ")
	}
	for _, form := range ports {
		if found := form.FindStringSubmatch(text); found != nil {
			return number(found[1])
		}
	}
	return 0
}

// ports are the ways in which commands name the port that they listen on.
var ports = []*regexp.Regexp{
	regexp.MustCompile(`(?:--bind|-b|--listen|-listen|--addr|-addr|--http-socket|--http|runserver)[= ]+(?:[\w.*\[\]-]*:)?(\d{2,5})(?:[\s'"]|$)`),
	regexp.MustCompile(`(?:--port|-port|--server\.port|-p|PORT)[= ]+(\d{2,5})(?:[\s'"]|$)`),
	regexp.MustCompile(`(?:0\.0\.0\.0|\[::\]|\*|[\s=]):(\d{2,5})(?:[\s'"]|$)`),
}

// number reads a port; 0 is none.
func number(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 65535 {
		return 0
	}
	return n
}

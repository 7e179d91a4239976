package scaffold

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// servers are the web servers whose configuration says where they listen, by the
// folder that it is copied to.
var servers = []struct {
	folder string
	listen *regexp.Regexp
}{
	{"/etc/nginx", regexp.MustCompile(`(?m)^\s*listen\s+(?:\[::\]:|\*:|[\d.]+:)?(\d{2,5})\b`)},
	{"/etc/caddy", regexp.MustCompile(`(?m)^(?:http://)?[\w.*-]*:(\d{2,5})\b`)},
	{"/etc/frankenphp", regexp.MustCompile(`(?m)^(?:http://)?[\w.*-]*:(\d{2,5})\b`)},
	{"/usr/local/apache2/conf", regexp.MustCompile(`(?mi)^\s*Listen\s+(?:[\d.]+:)?(\d{2,5})\b`)},
}

// springPort is how Spring Boot's configuration names the port, as properties or YAML.
var springPort = regexp.MustCompile(`(?m)^(?:server\.port\s*[=:]|server:\s*\r?\n\s+port:)\s*(?:\$\{[^:}]*:)?(\d{2,5})`)

// serverPort returns the port that the server's own configuration names, or 0.
func (d *Draft) serverPort() int {
	for _, name := range []string{"application.properties", "application.yml", "application.yaml"} {
		if found := springPort.FindStringSubmatch(d.readFile("src/main/resources/" + name)); found != nil {
			return number(found[1])
		}
	}
	for _, copying := range d.docker.copies {
		for _, s := range servers {
			if copying.to != s.folder && !strings.HasPrefix(copying.to, s.folder+"/") {
				continue
			}
			for _, source := range copying.sources {
				if found := s.listen.FindStringSubmatch(d.configuration(source)); found != nil {
					return number(found[1])
				}
			}
		}
	}
	return 0
}

// configuration returns the text of a file of the context, or of those in a folder.
func (d *Draft) configuration(source string) string {
	source = path.Clean("/" + source)[1:]
	if text := d.readFile(source); text != "" || source == "" {
		return text
	}
	context := folder{filepath.Join(d.dir, d.Context)}
	var all strings.Builder
	for _, pattern := range []string{"*.conf", "*/*.conf"} {
		for _, name := range context.glob(path.Join(source, pattern)) {
			all.WriteString(d.readFile(name) + "\n")
		}
	}
	return all.String()
}

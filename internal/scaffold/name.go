package scaffold

import (
	"bufio"
	"bytes"
	"path"
	"regexp"
	"strings"
)

// maxName is the longest name that package config takes for an application.
const maxName = 40

// origin returns the last part of the URL of the remote origin in a git
// configuration, without ".git".
func origin(gitConfig []byte) string {
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(gitConfig))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, url, _ := strings.Cut(line, "=")
		if section == `[remote "origin"]` && strings.TrimSpace(key) == "url" {
			url = strings.TrimRight(strings.TrimSpace(url), "/")
			// An address of SSH may have only a colon before its path.
			url = url[strings.LastIndexByte(url, ':')+1:]
			name := strings.TrimSuffix(path.Base(url), ".git")
			if name == "." || name == "/" {
				return ""
			}
			return name
		}
	}
	return ""
}

// label makes a DNS label that begins with a letter of a text; empty where
// nothing of it is left.
func label(text string, most int) string {
	text = notLabel.ReplaceAllString(strings.ToLower(text), "-")
	text = strings.TrimLeft(text, "-0123456789")
	return strings.TrimRight(text[:min(len(text), most)], "-")
}

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// How the parts of an application are named by what they do.
var (
	webName     = regexp.MustCompile(`(?i)^(web|www|app|api|server|backend|site|django|flask|rails|laravel|node)\b`)
	proxyName   = regexp.MustCompile(`(?i)^(nginx|proxy|reverse-?proxy|traefik|caddy|haproxy|lb|gateway)\b`)
	workerName  = regexp.MustCompile(`(?i)(worker|sidekiq|celery|queue|consumer|beat|scheduler|cron|jobs?|bot)\b`)
	releaseName = regexp.MustCompile(`(?i)^(release|setup|init|.*migrat(e|ion|ions|or))$`)
)

// development marks the names of what is not for production.
var development = regexp.MustCompile(`(?i)(^|[^a-z])(dev|devel|develop|development|tests?|testing|ci|local|debug)([^a-z]|$)`)

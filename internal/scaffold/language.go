package scaffold

import (
	"encoding/json"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// languages are what a folder without a Dockerfile may hold, and the lines of a
// Dockerfile to begin with. They are said, not written: what an application
// needs from its system, only its owner knows.
var languages = []struct {
	file, name string
	port       int
	lines      string
}{
	{"go.mod", "Go", 8080, `FROM golang:1.26 AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -o /app .
FROM scratch
COPY --from=build /app /app
EXPOSE 8080
CMD ["/app"]`},
	{"requirements.txt", "Python", 8000, `FROM python:3.13-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
EXPOSE 8000`},
	{"pyproject.toml", "Python", 8000, `FROM python:3.13-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir .
EXPOSE 8000`},
	{"package-lock.json", "Node", 3000, `FROM node:22-slim
WORKDIR /app
COPY package*.json ./
RUN npm ci
COPY . .
EXPOSE 3000
CMD ["npm", "start"]`},
	{"package.json", "Node", 3000, `FROM node:22-slim
WORKDIR /app
COPY package.json ./
RUN npm install
COPY . .
EXPOSE 3000
CMD ["npm", "start"]`},
	{"Gemfile", "Ruby", 3000, ""},
	{"composer.json", "PHP", 8080, ""},
	{"pom.xml", "Java", 8080, ""},
	{"build.gradle", "Java", 8080, ""},
	{"Cargo.toml", "Rust", 8080, ""},
	{"mix.exs", "Elixir", 4000, ""},
	{"index.html", "static", 80, `FROM nginx:1.29
COPY . /usr/share/nginx/html
EXPOSE 80`},
}

// readLanguage says that a Dockerfile is needed where there is none, and how it
// may begin.
func (d *Draft) readLanguage() error {
	if d.Dockerfile != "" || d.Image != "" {
		return nil
	}
	for _, l := range languages {
		if !d.exists(l.file) {
			continue
		}
		d.Dockerfile = "Dockerfile"
		if len(d.Sources) == 0 {
			d.Sources = append(d.Sources, l.file)
		}
		if !d.onlyWorks {
			fill(&d.Port, portOf(d.Command))
			fill(&d.Port, portOf(d.script(d.Command)))
			fill(&d.Port, l.port)
		}
		if l.lines == "" {
			d.note("Dockerfile", "there is none, and an image is built from one: write it for this %s application before berth up", l.name)
		} else {
			d.note("Dockerfile", "there is none, and an image is built from one. For this %s application it may begin like this:\n%s", l.name,
				strings.ReplaceAll(l.lines, "EXPOSE "+strconv.Itoa(l.port), "EXPOSE "+strconv.Itoa(d.Port)))
		}
		return nil
	}
	if len(d.Sources) > 0 {
		d.Dockerfile = "Dockerfile"
		d.note("Dockerfile", "there is none, and an image is built from one: write it before berth up")
	}
	return nil
}

// hasLanguage reports whether a folder has a file by which a language is known.
func (d *Draft) hasLanguage(folder string) bool {
	for _, l := range languages {
		if d.exists(path.Join(folder, l.file)) {
			return true
		}
	}
	return false
}

// usualPort is where programs of the folder's language mostly listen.
func (d *Draft) usualPort() int {
	for _, l := range languages {
		if d.exists(d.inContext(l.file)) && l.name != "static" {
			return l.port
		}
	}
	return 8000
}

// startScript is how the managers of Node's packages are told to start a program.
var startScript = regexp.MustCompile(`^(npm|pnpm|yarn|bun)( run)? start\b`)

// script returns what package.json says that a command starts.
func (d *Draft) script(runs Command) Command {
	if !startScript.MatchString(strings.TrimSpace(runs.Text+strings.Join(runs.List, " "))) && (d.docker.base != "" || !runs.IsZero()) {
		return Command{}
	}
	_, text, err := d.source(d.inContext("package.json"))
	var described struct{ Scripts struct{ Start string } }
	if err != nil || json.Unmarshal(text, &described) != nil {
		return Command{}
	}
	return Command{Text: described.Scripts.Start}
}

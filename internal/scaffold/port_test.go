package scaffold

import (
	"strings"
	"testing"
)

func TestPortsOfCommands(t *testing.T) {
	for command, want := range map[string]int{
		"gunicorn app:app --bind 0.0.0.0:8000":       8000,
		"gunicorn -b :5000 app:app":                  5000,
		"gunicorn --bind=127.0.0.1:5000 app":         5000,
		"uvicorn main:app --host 0.0.0.0 --port 80":  80,
		"rails server -b 0.0.0.0 -p 3000":            3000,
		"bash -c 'rails s -p 3000'":                  3000,
		"python manage.py runserver 0.0.0.0:8000":    8000,
		"python manage.py runserver 8001":            8001,
		"php -S 0.0.0.0:8080 -t public":              8080,
		"daphne -b 0.0.0.0 -p 8001 site.asgi":        8001,
		"java -jar app.jar --server.port=8081":       8081,
		"./server -addr :9000":                       9000,
		"gunicorn app:app --bind 0.0.0.0:$PORT":      0,
		"node server.js":                             0,
		"celery -A app worker -b redis://redis:6379": 0,
		"./wait-for db:5432 -- ./server":             0,
		"gunicorn -b 127.0.0.1 app":                  0,
	} {
		if got := portOf(Command{Text: command}); got != want {
			t.Errorf("%s: got %d, want %d", command, got, want)
		}
		if got := portOf(Command{List: strings.Fields(command)}); got != want {
			t.Errorf("%s as a list: got %d, want %d", command, got, want)
		}
	}
}

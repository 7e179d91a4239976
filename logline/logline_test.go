package logline

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLoggers has what common loggers write.
func TestLoggers(t *testing.T) {
	var p Parser
	for _, test := range []struct{ logger, line, level, message string }{
		{"slog", `{"time":"2026-01-01T00:00:00Z","level":"ERROR","msg":"boom","a":1}`, "ERROR", `boom`},
		{"zerolog", `{"level":"error","time":1767225600,"message":"boom"}`, "error", `boom`},
		{"logrus", `{"level":"error","msg":"boom","time":"2026-01-01T00:00:00Z"}`, "error", `boom`},
		{"bunyan", `{"name":"a","hostname":"h","pid":1,"level":50,"msg":"boom","time":"2026-01-01T00:00:00Z","v":0}`, "ERROR", `boom`},
		{"winston", `{"level":"error","message":"boom","timestamp":"2026-01-01T00:00:00Z"}`, "error", `boom`},
		{"ECS (elastic)", `{"@timestamp":"2026-01-01T00:00:00Z","log.level":"ERROR","message":"boom","ecs.version":"1.2.0"}`, "ERROR", `boom`},
		{"ECS nested (Spring Boot 3.4)", `{"@timestamp":"2026-01-01T00:00:00Z","log":{"level":"ERROR","logger":"a.B"},"message":"boom"}`, "ERROR", `boom`},
		{"log4j2 JsonTemplate", `{"@timestamp":"x","ecs.version":"1.2.0","log.level":"ERROR","message":"boom"}`, "ERROR", `boom`},
		{"log4j2 JSONLayout", `{"instant":{"epochSecond":1,"nanoOfSecond":1},"thread":"main","level":"ERROR","loggerName":"a","message":"boom"}`, "ERROR", `boom`},
		{"python-json-logger", `{"asctime":"x","levelname":"ERROR","message":"boom"}`, "ERROR", `boom`},
		{"structlog", `{"event":"boom","level":"error","timestamp":"x"}`, "error", `boom`},
		{"gunicorn-json", `{"time":"x","severity":"ERROR","message":"boom"}`, "ERROR", `boom`},
		{"Rust tracing json", `{"timestamp":"x","level":"ERROR","fields":{"message":"boom"},"target":"a"}`, "ERROR", `boom`},
		{"Serilog compact", `{"@t":"x","@mt":"boom","@l":"Error"}`, "Error", `boom`},
		{".NET JsonConsole", `{"Timestamp":"x","EventId":0,"LogLevel":"Error","Category":"a","Message":"boom"}`, "Error", `boom`},
		{"Monolog", `{"message":"boom","context":{},"level":400,"level_name":"ERROR","channel":"app","datetime":"x"}`, "ERROR", `boom`},
		{"Rails lograge/semantic_logger", `{"host":"h","timestamp":"x","level":"error","level_index":4,"message":"boom"}`, "error", `boom`},
		{"Elixir LoggerJSON", `{"time":"x","severity":"error","message":"boom","metadata":{}}`, "error", `boom`},
		{"GCP", `{"severity":"ERROR","message":"boom"}`, "ERROR", `boom`},
		{"Envoy/istio access", `{"response_code":503,"method":"GET","path":"/"}`, "", `{"response_code":503,"method":"GET","path":"/"}`},
		{"Caddy", `{"level":"error","ts":1.1,"logger":"http","msg":"boom"}`, "error", `boom`},
		{"CoreDNS/k8s component JSON", `{"ts":1767225600000.1,"caller":"a.go:1","msg":"boom","v":0,"err":"x"}`, "ERROR", `boom`},
		{"PostgreSQL jsonlog", `{"timestamp":"x","pid":1,"error_severity":"ERROR","message":"boom"}`, "ERROR", `boom`},
		{"nginx-json", `{"time":"x","status":"500","request":"GET /"}`, "", `{"time":"x","status":"500","request":"GET /"}`},
		{"MySQL json", `{"prio":1,"err_code":1,"msg":"boom"}`, "ERROR", `boom`},
		{"upper keys", `{"LEVEL":"ERROR","MESSAGE":"boom"}`, "ERROR", `boom`},
		{"Level key", `{"Level":"Error","Message":"boom"}`, "Error", `boom`},
		{"level object", `{"level":{"name":"error"},"msg":"boom"}`, "error", `boom`},
		{"text klog E", `E0101 00:00:00.000000       1 a.go:1] boom`, "ERROR", `E0101 00:00:00.000000       1 a.go:1] boom`},
		{"text logfmt lvl", `t=x lvl=eror msg=boom`, "EROR", `t=x lvl=eror msg=boom`},
		{"text lower", `2026-01-01 00:00:00 error: boom`, "ERROR", `2026-01-01 00:00:00 error: boom`},
		{"text uvicorn", `ERROR:    Exception in ASGI application`, "ERROR", `ERROR:    Exception in ASGI application`},
		{"text dotnet", `fail: Microsoft.X[0]`, "FAIL", `fail: Microsoft.X[0]`},
		{"text path LOG", `GET /LOG/a 200`, "", `GET /LOG/a 200`},
		{"text ALERT word", `user clicked the ALERT button`, "", `user clicked the ALERT button`},
		{"text ANSI bracket", "[\x1b[31merror\x1b[0m] boom", "ERROR", "[\x1b[31merror\x1b[0m] boom"},
		{"GELF", `{"version":"1.1","host":"h","short_message":"boom","level":3}`, "ERROR", `boom`},
		{"Serilog, rendered", `{"@t":"x","@mt":"{A}","@m":"boom","@l":"Warning"}`, "Warning", `boom`},
		{"Serilog, for info", `{"@t":"x","@mt":"boom"}`, "Information", `boom`},
		{"pino, fatal", `{"level":60,"time":1,"msg":"boom"}`, "FATAL", `boom`},
		{"Monolog, critical", `{"message":"boom","level":500,"level_name":"CRITICAL"}`, "CRITICAL", `boom`},
		{"OpenTelemetry", `{"SeverityText":"ERROR","message":"boom"}`, "ERROR", `boom`},
		{"Kubernetes, info", `{"ts":1.1,"caller":"a.go:1","msg":"boom","v":2}`, "INFO", `boom`},
		{"level in a URL", `GET /x?level=error 200`, "", `GET /x?level=error 200`},
		{"level in a query", `a=1&level=error`, "", `a=1&level=error`},
		{"level in a URL of JSON", `{"msg":"GET /x?level=error"}`, "", `GET /x?level=error`},
		{"logfmt", `time=x level=error msg=boom`, "ERROR", `time=x level=error msg=boom`},
		{"logfmt, quoted", `time=x level="warn" msg=boom`, "WARN", `time=x level="warn" msg=boom`},
		{"logfmt, severity", `severity=critical msg=boom`, "CRITICAL", `severity=critical msg=boom`},
		{"log4j", `2026-01-01 00:00:00,123 [main] ERROR c.a.Foo - boom`, "ERROR", `2026-01-01 00:00:00,123 [main] ERROR c.a.Foo - boom`},
		{"Spring", `2026-01-01T00:00:00.000Z  WARN 1 --- [main] c.a.Foo : boom`, "WARN", `2026-01-01T00:00:00.000Z  WARN 1 --- [main] c.a.Foo : boom`},
		{"python", `ERROR:root:boom`, "ERROR", `ERROR:root:boom`},
		{"python, formatted", `2026-01-01 00:00:00,123 - app - WARNING - boom`, "WARNING", `2026-01-01 00:00:00,123 - app - WARNING - boom`},
		{"gunicorn", `[2026-01-01 00:00:00 +0000] [7] [INFO] boom`, "INFO", `[2026-01-01 00:00:00 +0000] [7] [INFO] boom`},
		{"MySQL", `2026-01-01T00:00:00.000000Z 0 [ERROR] [MY-010] [Server] boom`, "ERROR", `2026-01-01T00:00:00.000000Z 0 [ERROR] [MY-010] [Server] boom`},
		{"nginx", `2026/01/01 00:00:00 [warn] 7#7: boom`, "WARN", `2026/01/01 00:00:00 [warn] 7#7: boom`},
		{"PostgreSQL", `2026-01-01 00:00:00.000 UTC [7] FATAL:  boom`, "FATAL", `2026-01-01 00:00:00.000 UTC [7] FATAL:  boom`},
		{"PostgreSQL, debug", `2026-01-01 00:00:00.000 UTC [7] DEBUG2:  boom`, "DEBUG2", `2026-01-01 00:00:00.000 UTC [7] DEBUG2:  boom`},
		{"klog, info", `I0101 00:00:00.000000       1 a.go:1] boom`, "INFO", `I0101 00:00:00.000000       1 a.go:1] boom`},
		{"klog, warning", `W0101 00:00:00.000000       1 a.go:1] boom`, "WARNING", `W0101 00:00:00.000000       1 a.go:1] boom`},
		{"no klog", `E0101 is a postal code`, "", `E0101 is a postal code`},
		{".NET, warn", `warn: Microsoft.X[0]`, "WARN", `warn: Microsoft.X[0]`},
		{"coloured word", "\x1b[32mINFO\x1b[0m boom", "INFO", "\x1b[32mINFO\x1b[0m boom"},
		{"coloured, bracketed time", "\x1b[2m2026-01-01T00:00:00Z\x1b[0m \x1b[31mERROR\x1b[0m app: boom", "ERROR", "\x1b[2m2026-01-01T00:00:00Z\x1b[0m \x1b[31mERROR\x1b[0m app: boom"},
		{"zap, console", "2026-01-01T00:00:00.000Z\tERROR\ta/b.go:1\tboom", "ERROR", "2026-01-01T00:00:00.000Z\tERROR\ta/b.go:1\tboom"},
		{"zerolog, console", `12:00AM ERR boom`, "ERR", `12:00AM ERR boom`},
		{"java util", `SEVERE: boom`, "SEVERE", `SEVERE: boom`},
		{"java trace", "java.lang.IllegalStateException: boom\n\tat a.B.c(B.java:1)", "ERROR", "java.lang.IllegalStateException: boom\n\tat a.B.c(B.java:1)"},
		{"JavaScript's error", "TypeError: boom\n    at f (/a.js:1:2)", "ERROR", "TypeError: boom\n    at f (/a.js:1:2)"},
		{"Monolog, line", `[2026-01-01T00:00:00.000000+00:00] app.ERROR: boom {"a":1} []`, "ERROR", `[2026-01-01T00:00:00.000000+00:00] app.ERROR: boom {"a":1} []`},
		{"Laravel", `[2026-01-01 00:00:00] production.ERROR: boom`, "ERROR", `[2026-01-01 00:00:00] production.ERROR: boom`},
		{"Apache", `[Thu Jan 01 00:00:00.000000 2026] [core:error] [pid 1:tid 1] AH00001: boom`, "ERROR", `[Thu Jan 01 00:00:00.000000 2026] [core:error] [pid 1:tid 1] AH00001: boom`},
		{"Celery", `[2026-01-01 00:00:00,000: WARNING/MainProcess] boom`, "WARNING", `[2026-01-01 00:00:00,000: WARNING/MainProcess] boom`},
		{"npm", `npm ERR! code ELIFECYCLE`, "ERROR", `npm ERR! code ELIFECYCLE`},
		{"JavaScript's error, alone", `TypeError: x is not a function`, "ERROR", `TypeError: x is not a function`},
		{"Python's error, alone", `sqlalchemy.exc.OperationalError: boom`, "ERROR", `sqlalchemy.exc.OperationalError: boom`},
		{"Ruby's error, alone", `ActiveRecord::ConnectionNotEstablished: boom`, "", `ActiveRecord::ConnectionNotEstablished: boom`},
		{"Java's, alone", `java.lang.IllegalStateException: boom`, "ERROR", `java.lang.IllegalStateException: boom`},
		{"PHP, fatal", `PHP Fatal error:  Uncaught Exception`, "ERROR", `PHP Fatal error:  Uncaught Exception`},
		{"PHP, warning", `PHP Warning:  Undefined variable $x in /a on line 1`, "WARNING", `PHP Warning:  Undefined variable $x in /a on line 1`},
		{"Rust's panic", `thread 'main' panicked at src/main.rs:1:1:`, "ERROR", `thread 'main' panicked at src/main.rs:1:1:`},
		{"Next.js", ` ⨯ Error: boom`, "ERROR", ` ⨯ Error: boom`},
		{"syslog", `<12>1 2026-01-01T00:00:00Z host app - - - boom`, "WARNING", `<12>1 2026-01-01T00:00:00Z host app - - - boom`},
		{"syslog, old", `<11>Jan  1 00:00:00 host app: boom`, "ERROR", `<11>Jan  1 00:00:00 host app: boom`},
		{"logrus", `WARN[0000] slow    key=1`, "WARNING", `WARN[0000] slow    key=1`},
		{"logrus, error", `ERRO[0003] boom`, "ERROR", `ERRO[0003] boom`},
		{"Node's warning", `(node:1) [DEP0005] DeprecationWarning: boom`, "WARNING", `(node:1) [DEP0005] DeprecationWarning: boom`},
		{"Node's, plain", `(node:1) Warning: boom`, "WARNING", `(node:1) Warning: boom`},
		{"a letter", `[E] boom`, "ERROR", `[E] boom`},
		{"Tornado", `[W 260101 00:00:00 web:1] boom`, "WARNING", `[W 260101 00:00:00 web:1] boom`},
		{"no letter", `[A] boom`, "", `[A] boom`},
		{"no level", `a.ERROR.b: boom`, "", `a.ERROR.b: boom`},
		{"a file", `Errors.log: boom`, "", `Errors.log: boom`},
		{"a tag", `<b>1 bold</b>`, "", `<b>1 bold</b>`},
		{"a sentence", `Error handling: see docs`, "", `Error handling: see docs`},
		{"a number as a text", `{"level":"40","msg":"boom"}`, "WARN", `boom`},
		{"MongoDB", `{"t":{"$date":"x"},"s":"W","c":"NETWORK","id":1,"ctx":"main","msg":"boom"}`, "WARNING", `boom`},
		{"no MongoDB", `{"s":"W","msg":"boom"}`, "", `boom`},
		{"OpenTelemetry, number", `{"severity_number":13,"message":"boom"}`, "WARN", `boom`},
		{"journald", `{"priority":"warning","message":"boom"}`, "warning", `boom`},
		{"a job's priority", `{"priority":"high","message":"boom"}`, "", `boom`},
		{"log_level", `{"log_level":"WARN","msg":"boom"}`, "WARN", `boom`},
		{"error in a sentence", `there was an error: none`, "", `there was an error: none`},
		{"a path", `open /var/log/ERROR/x`, "", `open /var/log/ERROR/x`},
		{"a name", `user ERROR_HANDLER set`, "", `user ERROR_HANDLER set`},
	} {
		if l := p.Parse(test.line); l.Level != test.level || l.Message != test.message {
			t.Errorf("%s: %s\nhas the level %q and the message %q, want %q and %q", test.logger, test.line, l.Level, l.Message, test.level, test.message)
		}
	}
}

// A string means the same to every reader of JSON.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "m", "\x00\x1f\x7f\"\\\n\r\t/", "ä\u2028😀", "\xff\xc3", "a\xe2\x82"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var back string
		encoded := AppendString(nil, text)
		if err := json.Unmarshal(encoded, &back); err != nil || back != strings.ToValidUTF8(text, "\uFFFD") && utf8.ValidString(text) {
			t.Errorf("%q became %s: %v", text, encoded, err)
		}
		if string(AppendString(nil, []byte(text))) != string(encoded) {
			t.Errorf("%q differs as bytes", text)
		}
	})
}

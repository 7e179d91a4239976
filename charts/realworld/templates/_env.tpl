{{/*
A container's environment, as a list of names that are each there once, as
server-side apply refuses others. What the chart sets comes first and what
refers to it last, because Kubernetes expands $(NAME) from the entries before.
A name that the application sets itself, in env or in a Secret, is left to it.

Kubernetes expands a $(NAME) in any value, and takes $$ for $. What .env says is
passed on as it is, so its dollars are doubled; references are not.
*/}}
{{- define "realworld.env" -}}
{{- $root := .root }}
{{- $env := deepCopy $root.Values.env }}
{{- range $name, $value := .env }}
{{- $_ := set $env $name $value }}
{{- end }}
{{- $mine := deepCopy $env }}
{{- range $root.Values.secrets.keys }}
{{- $_ := set $mine . "" }}
{{- end }}
{{- range $name, $_ := $root.Values.references }}
{{- $_ := set $mine $name "" }}
{{- end }}
{{- $own := dict }}
{{- if .port }}
{{- $own = dict "PORT" (.port | int | toString) "LISTEN" (printf ":%d" (int .port)) }}
{{- end }}
{{- if $root.Values.sqlite.enabled }}
{{- $_ := set $own "DATABASE_URL" (printf "sqlite:////data/%s.db" $root.Release.Name) }}
{{- end }}
{{- if $root.Values.tls.secret }}
{{- $_ := set $own "TLS_CERT_FILE" "/tls/tls.crt" }}
{{- $_ := set $own "TLS_KEY_FILE" "/tls/tls.key" }}
{{- end }}
{{- with $root.Values.postgresql }}
{{- if .enabled }}
{{- $service := printf "%s-postgresql" $root.Release.Name }}
{{- $_ := set $own "DATABASE_URL" (printf "postgresql://%s:$(POSTGRES_PASSWORD)@%s:5432/%s?sslmode=disable" .user $service .database) }}
{{- /* libpq's names, all of them or, where the application has a server of its own, none. */}}
{{- $libpq := dict "PGHOST" $service "PGPORT" "5432" "PGUSER" .user "PGPASSWORD" "$(POSTGRES_PASSWORD)" "PGDATABASE" .database }}
{{- if not (hasKey $mine "PGHOST") }}
{{- $own = merge $own $libpq }}
{{- end }}
{{ include "realworld.secretVariable" (list "POSTGRES_PASSWORD" (.existingSecret | default $service) "password") }}
{{- end }}
{{- end }}
{{- range $name, $service := $root.Values.services.servers }}
{{- $kind := get $root.Values.services.kinds $service.kind }}
{{- $host := printf "%s-%s" $root.Release.Name $name }}
{{- $password := printf "%s_PASSWORD" ($name | upper | replace "-" "_") }}
{{- if $kind.password }}
{{ include "realworld.secretVariable" (list $password $service.secret "password") }}
{{- end }}
{{- $url := $kind.url | replace "PASSWORD" (printf "$(%s)" $password) | replace "HOST" $host }}
{{- range $service.variables }}
{{- $_ := set $own . $url }}
{{- $prefix := trimSuffix "URL" . }}
{{- $_ := set $own (print $prefix "HOST") $host }}
{{- $_ := set $own (print $prefix "PORT") ($kind.port | int | toString) }}
{{- if and $kind.password (ne $password (print $prefix "PASSWORD")) }}
{{- $_ := set $own (print $prefix "PASSWORD") (printf "$(%s)" $password) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := $own }}
{{- if not (hasKey $mine $name) }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- range $root.Values.secrets.keys }}
{{- if not (hasKey $env .) }}
{{ include "realworld.secretVariable" (list . $root.Values.secrets.name .) }}
      # What a revision before this one had may be gone when it is gone back to.
      optional: true
{{- end }}
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name | quote }}
  value: {{ $value | replace "$" "$$" | quote }}
{{- end }}
{{- range $name, $value := $root.Values.references }}
{{- if not (hasKey $env $name) }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "realworld.secretVariable" -}}
- name: {{ index . 0 | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 | quote }}
      key: {{ index . 2 | quote }}
{{- end }}

{{/*
The container's environment. What the chart sets itself comes first, because
Kubernetes expands $(NAME) from the entries before. A name that .Values.env also
has gets the value there, in the same place: a list with a name twice is refused
by server-side apply.
*/}}
{{- define "realworld.env" -}}
{{- $own := dict "PORT" (.Values.port | int | toString) "LISTEN" (printf ":%d" (int .Values.port)) }}
{{- if .Values.sqlite.enabled }}
{{- $_ := set $own "DATABASE_URL" (printf "sqlite:////data/%s.db" .Release.Name) }}
{{- end }}
{{- if .Values.tls.secret }}
{{- $_ := set $own "TLS_CERT_FILE" "/tls/tls.crt" }}
{{- $_ := set $own "TLS_KEY_FILE" "/tls/tls.key" }}
{{- end }}
{{- with .Values.postgresql }}
{{- if .enabled }}
{{- $service := printf "%s-postgresql" $.Release.Name }}
{{- $_ := set $own "DATABASE_URL" (printf "postgres://%s:$(POSTGRES_PASSWORD)@%s:5432/%s?sslmode=disable" .user $service .database) }}
- name: POSTGRES_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | default $service | quote }}
      key: password
{{- end }}
{{- end }}
{{- range $name, $value := $own }}
- name: {{ $name }}
  value: {{ ternary (get $.Values.env $name) $value (hasKey $.Values.env $name) | quote }}
{{- end }}
{{- range $name, $value := .Values.env }}
{{- if not (hasKey $own $name) }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

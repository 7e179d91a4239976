{{/*
The container's environment. What the chart sets itself comes first, because
Kubernetes expands $(NAME) from the entries before; a name in .Values.env takes
the place of the chart's own, because a list with a name twice is refused by
server-side apply.
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
      name: {{ .existingSecret | default $service }}
      key: password
{{- end }}
{{- end }}
{{- range $name, $value := $own }}
{{- if not (hasKey $.Values.env $name) }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

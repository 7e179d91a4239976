{{/*
The name says "postgresql" whether this chart is installed alone or as a
dependency under an alias. A StatefulSet's pods carry its name and a hash in a
label of at most 63 characters, which bounds the release's name.
*/}}
{{- define "postgres.name" -}}
{{- if gt (len .Release.Name) 40 }}
{{- fail "the release's name is too long: a release with PostgreSQL has at most 40 characters" }}
{{- end }}
{{- printf "%s-postgresql" .Release.Name }}
{{- end }}

{{- define "postgres.secretName" -}}
{{- .Values.existingSecret | default (include "postgres.name" .) }}
{{- end }}

{{/*
The selector labels are immutable in a StatefulSet, so they hold nothing that
changes with a version or a value.
*/}}
{{- define "postgres.selectorLabels" -}}
app.kubernetes.io/name: postgresql
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: database
{{- end }}

{{- define "postgres.labels" -}}
{{ include "postgres.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "postgres-%s" .Chart.Version | replace "+" "_" }}
{{- end }}

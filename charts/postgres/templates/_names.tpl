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

{{/*
Each major version of PostgreSQL is a server of its own with a volume of its own, as
none reads another's files. 17 was the first one here, and its name has no number. The
others' are no longer, with the letter that tells several of one version apart: one
character more, and the name would not fit into the label.
*/}}
{{- define "postgres.server" -}}
{{- if include "postgres.number" . }}
{{- printf "%s-postgres%s" .Release.Name (include "postgres.number" .) }}
{{- else }}
{{- include "postgres.name" . }}
{{- end }}
{{- end }}

{{- define "postgres.number" -}}
{{- if or (ne (int .Values.version) 17) .Values.server }}
{{- printf "%d%s" (int .Values.version) .Values.server }}
{{- end }}
{{- end }}

{{- define "postgres.secretName" -}}
{{- .Values.existingSecret | default (include "postgres.name" .) }}
{{- end }}

{{/*
The selector labels are immutable in a StatefulSet, so they hold nothing that
changes with a value. Two servers are told apart by the component.
*/}}
{{- define "postgres.selectorLabels" -}}
app.kubernetes.io/name: postgresql
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: database{{ with include "postgres.number" . }}-{{ . }}{{ end }}
{{- end }}

{{- define "postgres.labels" -}}
{{ include "postgres.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "postgres-%s" .Chart.Version | replace "+" "_" }}
{{- end }}

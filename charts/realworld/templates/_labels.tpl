{{/*
The selector labels are immutable in a Deployment, so they hold nothing that
changes with a version or a value.
*/}}
{{- define "realworld.selectorLabels" -}}
app.kubernetes.io/name: {{ .Release.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: web
{{- end }}

{{- define "realworld.labels" -}}
{{ include "realworld.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

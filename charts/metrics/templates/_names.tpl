{{- define "metrics.selectorLabels" -}}
app.kubernetes.io/name: metrics
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "metrics.labels" -}}
{{ include "metrics.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "metrics-%s" .Chart.Version | replace "+" "_" }}
{{- end }}

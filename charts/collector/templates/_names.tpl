{{- define "collector.selectorLabels" -}}
app.kubernetes.io/name: collector
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "collector.labels" -}}
{{ include "collector.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "collector-%s" .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "watch.selectorLabels" -}}
app.kubernetes.io/name: watch
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "watch.labels" -}}
{{ include "watch.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "watch-%s" .Chart.Version | replace "+" "_" }}
{{- end }}

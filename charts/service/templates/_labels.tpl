{{/*
Each takes a list of the root, the server's name and the server. The selector
labels are immutable in a StatefulSet, so they hold nothing that changes with a
version or a value.
*/}}
{{- define "service.selectorLabels" -}}
app.kubernetes.io/name: {{ (index . 2).kind | quote }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 | quote }}
{{- end }}

{{- define "service.labels" -}}
{{ include "service.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "service-%s" (index . 0).Chart.Version | replace "+" "_" }}
{{- end }}

{{/*
What all pods of the application have in common. Selector labels are immutable
in a Deployment, so they hold nothing that changes with a version or a value.
*/}}
{{- define "realworld.applicationLabels" -}}
app.kubernetes.io/name: {{ .Release.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "realworld.selectorLabels" -}}
{{ include "realworld.applicationLabels" . }}
app.kubernetes.io/component: web
{{- end }}

{{/* Labels of an object of the application as a whole. */}}
{{- define "realworld.commonLabels" -}}
{{ include "realworld.applicationLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of an object of the web process. Berth applies those only after the
release command. */}}
{{- define "realworld.labels" -}}
{{ include "realworld.componentLabels" (dict "root" . "component" "web") }}
{{- end }}

{{/* Labels of an object of one component: web, release or a process by its name. */}}
{{- define "realworld.componentLabels" -}}
{{ include "realworld.commonLabels" .root }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{/* Whether pods share a volume that one node at a time can have. */}}
{{- define "realworld.sharesVolumes" -}}
{{- if or .Values.sqlite.enabled .Values.volumes }}true{{ end }}
{{- end }}

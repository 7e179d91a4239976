{{- define "backup.selectorLabels" -}}
app.kubernetes.io/name: backup
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- /* What the database's NetworkPolicy lets in. */}}
app.kubernetes.io/component: backup
{{- end }}

{{- define "backup.labels" -}}
{{ include "backup.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "backup-%s" .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* What the pods of the CronJob and of the hook have in common. */}}
{{- define "backup.pod" -}}
serviceAccountName: {{ .Release.Name | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "backup.container" -}}
image: {{ .Values.image.reference | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- mustToYaml .Values.resources | nindent 2 }}
{{- end }}

{{- define "backup.database" -}}
{{- if .Values.sqlite.claim }}
- name: DATABASE_URL
  value: {{ printf "sqlite:////data/%s" .Values.sqlite.file | quote }}
{{- else }}
- name: PGHOST
  value: {{ .Values.database.host | quote }}
- name: PGPORT
  value: {{ .Values.database.port | quote }}
- name: PGDATABASE
  value: {{ .Values.database.name | quote }}
- name: PGSSLMODE
  value: {{ .Values.database.sslmode }}
{{- end }}
{{- end }}

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

{{- define "backup.streamLabels" -}}
app.kubernetes.io/name: backup-stream
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: backup
{{- end }}

{{- /* What all pods have in common. */}}
{{- define "backup.pod" -}}
serviceAccountName: {{ .Release.Name | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
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

{{- /* The bucket, and for whom what goes there is encrypted. */}}
{{- define "backup.bucket" -}}
- name: BUCKET_ENDPOINT
  value: {{ .Values.bucket.endpoint | quote }}
- name: BUCKET_REGION
  value: {{ .Values.bucket.region | quote }}
- name: BUCKET_NAME
  value: {{ .Values.bucket.name | quote }}
{{- range list "BUCKET_ACCESS_KEY" "BUCKET_SECRET_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.bucket.secret | quote }}
      key: {{ . }}
{{- end }}
{{- if .Values.bucket.caSecret }}
- name: BUCKET_CA_FILE
  value: /run/secrets/bucket/ca.crt
{{- end }}
- name: BACKUP_PREFIX
  value: {{ .Values.bucket.prefix | quote }}
{{- with .Values.encryption.recipients }}
- name: BACKUP_AGE_RECIPIENTS
  value: {{ join " " . | quote }}
{{- end }}
{{- end }}

{{- define "backup.caMount" -}}
{{- if .Values.bucket.caSecret }}
- name: bucket-ca
  mountPath: /run/secrets/bucket
  readOnly: true
{{- end }}
{{- end }}

{{- define "backup.caVolume" -}}
{{- with .Values.bucket.caSecret }}
- name: bucket-ca
  secret:
    secretName: {{ . | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end }}

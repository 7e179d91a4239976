{{/*
The pod of one component, below its metadata. Every component has the same
image, environment, volumes and rights; what it is given besides:
root, component, command, args, resources, env, restartPolicy, deadline, and
port for the one that answers requests.
*/}}
{{- define "realworld.podMetadata" -}}
labels:
  {{- include "realworld.applicationLabels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component | quote }}
  {{- if include "realworld.sharesVolumes" .root }}
  berth/volumes: shared
  {{- end }}
  {{- range $name, $value := .root.Values.podLabels }}
  {{ $name | quote }}: {{ $value | quote }}
  {{- end }}
annotations:
  # A pod reads its Secrets once. When they change, so does this, and the
  # pods are replaced one after the other.
  checksum/config: {{ .root.Values.configChecksum | quote }}
  {{- range $name, $value := .root.Values.podAnnotations }}
  {{ $name | quote }}: {{ $value | quote }}
  {{- end }}
{{- end }}

{{- define "realworld.podSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ .root.Release.Name | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .restartPolicy }}
restartPolicy: {{ . }}
{{- end }}
{{- with .deadline }}
activeDeadlineSeconds: {{ . }}
{{- end }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
# An answer of the cluster's DNS that is lost is asked for again after one
# second, where resolvers wait for five.
dnsConfig:
  options:
    - name: timeout
      value: "1"
    - name: attempts
      value: "3"
securityContext:
  {{- if $values.runAsUser }}
  runAsNonRoot: true
  runAsUser: {{ int64 $values.runAsUser }}
  {{- end }}
  {{- if $values.runAsGroup }}
  runAsGroup: {{ int64 $values.runAsGroup }}
  {{- end }}
  # Whoever the process is, it may write to its volumes by this group.
  fsGroup: {{ int64 (default 65532 $values.runAsGroup) }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
  # Any port may be listened on, without a capability.
  sysctls:
    - name: net.ipv4.ip_unprivileged_port_start
      value: "0"
containers:
  - name: {{ .component | quote }}
    image: {{ $values.image.reference | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    {{- with .command }}
    command:
    {{- range . }}
      - {{ . | replace "$" "$$" | quote }}
    {{- end }}
    {{- end }}
    {{- with .args }}
    args:
    {{- range . }}
      - {{ . | replace "$" "$$" | quote }}
    {{- end }}
    {{- end }}
    {{- if .port }}
    ports:
      - name: http
        containerPort: {{ .port }}
        protocol: TCP
    {{- end }}
    {{- with include "realworld.env" . | trim }}
    env:
      {{- . | nindent 6 }}
    {{- end }}
    {{- if .port }}
    startupProbe:
      {{- include "realworld.healthRequest" .root | nindent 6 }}
      periodSeconds: 1
      timeoutSeconds: {{ $values.health.timeoutSeconds }}
      failureThreshold: {{ $values.startupSeconds }}
    readinessProbe:
      {{- include "realworld.healthRequest" .root | nindent 6 }}
      periodSeconds: 5
      timeoutSeconds: {{ $values.health.timeoutSeconds }}
      failureThreshold: 3
    # By default only that the port is open: a health path that looks at
    # the database must not restart every pod when the database is away.
    livenessProbe:
      {{- if $values.liveness.path }}
      {{- include "realworld.request" (dict "root" .root "path" $values.liveness.path) | nindent 6 }}
      {{- else }}
      tcpSocket:
        port: http
      {{- end }}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    {{- if $values.preStopSeconds }}
    # Every ingress must have taken the pod out of its endpoints before
    # the process is told to stop. The kubelet sleeps itself, as the image
    # may hold no shell.
    lifecycle:
      preStop:
        sleep:
          seconds: {{ $values.preStopSeconds }}
    {{- end }}
    {{- end }}
    resources:
      {{- mustToYaml (mustMergeOverwrite (deepCopy $values.resources) (.resources | default dict)) | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: {{ $values.readOnlyRootFilesystem }}
      capabilities:
        drop: [ALL]
        {{- if not $values.runAsUser }}
        # For images that begin as root and give it up, as NGINX does. A user
        # that the image names gets none of them.
        add: [CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID]
        {{- end }}
    {{- if or $values.writablePaths $values.volumes $values.sqlite.enabled $values.tls.secret }}
    volumeMounts:
      {{- range $i, $path := $values.writablePaths }}
      - name: scratch-{{ $i }}
        mountPath: {{ $path | quote }}
      {{- end }}
      {{- if $values.sqlite.enabled }}
      - name: data
        mountPath: /data
      {{- end }}
      {{- range $name, $volume := $values.volumes }}
      - name: volume-{{ $name }}
        mountPath: {{ $volume.path | quote }}
      {{- end }}
      {{- if $values.tls.secret }}
      - name: tls
        mountPath: /tls
        readOnly: true
      {{- end }}
    {{- end }}
{{- if or $values.writablePaths $values.volumes $values.sqlite.enabled $values.tls.secret }}
volumes:
  {{- range $i, $path := $values.writablePaths }}
  - name: scratch-{{ $i }}
    emptyDir:
      sizeLimit: 256Mi
  {{- end }}
  {{- if $values.sqlite.enabled }}
  - name: data
    persistentVolumeClaim:
      claimName: {{ .root.Release.Name }}-data
  {{- end }}
  {{- range $name, $volume := $values.volumes }}
  - name: volume-{{ $name }}
    persistentVolumeClaim:
      claimName: {{ $.root.Release.Name }}-{{ $name }}
  {{- end }}
  {{- with $values.tls.secret }}
  - name: tls
    secret:
      secretName: {{ . | quote }}
      defaultMode: 0440
  {{- end }}
{{- end }}
{{- if include "realworld.sharesVolumes" .root }}
# A ReadWriteOnce volume is on one node, and so must be all pods that share it,
# both of a rolling update too. The first one matches its own term, which the
# scheduler lets pass. Pods of a revision without volumes, on any node, do not
# count.
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "realworld.applicationLabels" .root | nindent 12 }}
            berth/volumes: shared
{{- else if not .restartPolicy }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "realworld.applicationLabels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component | quote }}
    # Spread the pods of one revision, whatever is left of the last one.
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
{{- range $name, $value := . }}
  {{ $name | quote }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- mustToYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* How to ask whether the web process can serve. */}}
{{- define "realworld.healthRequest" -}}
{{- if .Values.health.http }}
{{- include "realworld.request" (dict "root" . "path" .Values.health.path) }}
{{- else -}}
tcpSocket:
  port: http
{{- end }}
{{- end }}

{{- define "realworld.request" -}}
httpGet:
  path: {{ .path | quote }}
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.tls.secret "") }}
  {{- with .root.Values.health.host }}
  httpHeaders:
    - name: Host
      value: {{ . | quote }}
  {{- end }}
{{- end }}

{{- /*
The configuration of the collector. Values become part of it only as quoted
strings and numbers; what is in Secrets, and the node's name, comes by the
environment.
*/}}
{{- define "collector.config" -}}
receivers:
  container_log:
    folder: /var/log/pods
    node: ${env:NODE_NAME}
    namespaces: {{ mustToJson .Values.namespaces }}
    # The path of a log file has the namespace, the pod and the container. Whose
    # pod it is, the API server knows.
    service_account: /var/run/secrets/kubernetes.io/serviceaccount
    storage: file_storage

processors:
  # Memory is bounded three times: Go collects garbage more eagerly beyond
  # GOMEMLIMIT, from 70 % on reading waits, and 85 % is the most that the limiter
  # allows.
  memory_limiter:
    check_interval: 1s
    limit_mib: {{ div (mul (int64 .Values.memoryMiB) 85) 100 }}
    spike_limit_mib: {{ div (mul (int64 .Values.memoryMiB) 15) 100 }}

exporters:
  {{- if .Values.bucket.enabled }}
  awss3:
    s3uploader:
      endpoint: {{ .Values.bucket.endpoint | quote }}
      region: {{ .Values.bucket.region | quote }}
      s3_bucket: {{ .Values.bucket.name | quote }}
      s3_base_prefix: {{ .Values.bucket.prefix | quote }}
      # By the hour of the upload, which is never before that of a line in it.
      s3_partition_format: "%Y/%m/%d/%H"
      s3_partition_timezone: UTC
      file_prefix: ${env:NODE_NAME}_
      unique_key_func_name: uuidv7
      s3_force_path_style: true
      # The queue tries again.
      retry_mode: nop
    resource_attrs_to_s3:
      s3_prefix: k8s.namespace.name
    encoding: archive
    encoding_file_extension: json.gz
    timeout: 60s
    {{- include "collector.waiting" . | nindent 4 }}
      # Batches that are sent at the same time: each is in memory several times.
      num_consumers: 1
      batch:
        sizer: bytes
        min_size: 1500000
        flush_timeout: {{ int64 .Values.bucket.flushSeconds }}s
        # An object holds one environment's lines.
        partition:
          metadata_keys: [environment]
  {{- end }}
  {{- if .Values.otlp.secret }}
  otlp_http:
    endpoint: ${env:OTLP_LOGS_ENDPOINT}
    source_id: ${env:OTLP_LOGS_SOURCE_ID}
    api_key: ${env:OTLP_LOGS_API_KEY}
    {{- include "collector.waiting" . | nindent 4 }}
      num_consumers: 4
      batch:
        sizer: bytes
        min_size: 500000
        flush_timeout: 1s
  {{- end }}
  {{- if .Values.frames.secret }}
  frames:
    endpoint: ${env:FRAMES_LOGS_ENDPOINT}
    source_id: ${env:FRAMES_LOGS_SOURCE_ID}
    api_key: ${env:FRAMES_LOGS_API_KEY}
    {{- include "collector.waiting" . | nindent 4 }}
      num_consumers: 4
      batch:
        sizer: bytes
        min_size: 500000
        flush_timeout: 1s
  {{- end }}

extensions:
  file_storage:
    directory: /var/lib/collector
    # What a power failure has left damaged is set aside: better than an
    # agent that does not start.
    recreate: true
    compaction:
      directory: /var/lib/collector
      on_rebound: true
      cleanup_on_start: true
  archive: {}
  health_check:
    endpoint: 0.0.0.0:13133
  sink_status:
    endpoint: 0.0.0.0:13134
    node: ${env:NODE_NAME}

service:
  extensions: [file_storage, archive, health_check, sink_status]
  pipelines:
    logs:
      receivers: [container_log]
      processors: [memory_limiter]
      exporters:
        {{- if .Values.bucket.enabled }}
        - awss3
        {{- end }}
        {{- if .Values.otlp.secret }}
        - otlp_http
        {{- end }}
        {{- if .Values.frames.secret }}
        - frames
        {{- end }}
  telemetry:
    logs:
      encoding: json
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 0.0.0.0
                port: 8888
{{- end }}

{{- /*
How lines wait for any sink; the batch follows. It has no max_size: a single line
above that would be dropped. The receiver passes on little at a time, so batches
are hardly larger than min_size.
*/}}
{{- define "collector.waiting" -}}
retry_on_failure:
  initial_interval: 1s
  max_interval: 30s
  # For ever.
  max_elapsed_time: 0
sending_queue:
  storage: file_storage
  sizer: bytes
  queue_size: {{ int64 .Values.state.queueBytes }}
{{- end }}

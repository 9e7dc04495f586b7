{{- define "labels" -}}
app.kubernetes.io/name: log-aggregator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "selector" -}}
app.kubernetes.io/name: log-aggregator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default .Values.name }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The Deployments to make: a YAML list of component, target, replicas, resources. */}}
{{- define "components" -}}
{{- if .Values.split.enabled }}
{{- range $name := list "write" "read" "backend" }}
{{- $role := index $.Values.split $name }}
- {component: {{ $name }}, target: {{ $name }}, replicas: {{ $role.replicas }}, resources: {{ toJson $role.resources }}}
{{- end }}
{{- else }}
- {component: all, target: all, replicas: {{ ternary .Values.replicas 1 (ne .Values.s3.bucket "") }}, resources: {{ toJson .Values.resources }}}
{{- end }}
{{- end }}

{{/* The configuration file: what the chart knows, with .Values.config laid over it. */}}
{{- define "config" -}}
{{- $own := dict "server" (dict "log_level" .Values.logLevel "http_listen_port" 3100) }}
{{- if .Values.s3.bucket }}
{{- $s3 := dict "bucketnames" .Values.s3.bucket "insecure" .Values.s3.insecure "s3forcepathstyle" .Values.s3.forcePathStyle }}
{{- with .Values.s3.region }}{{ $_ := set $s3 "region" . }}{{ end }}
{{- with .Values.s3.endpoint }}{{ $_ := set $s3 "endpoint" . }}{{ end }}
{{- $_ := set $own "common" (dict "storage" (dict "s3" $s3)) }}
{{- end }}
{{- if .Values.overrides }}
{{- $_ := set $own "runtime_config" (dict "file" "/etc/loki/overrides.yml") }}
{{- end }}
{{- toYaml (mustMergeOverwrite $own .Values.config) }}
{{- end }}

{{- define "containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "check" -}}
{{- if and .Values.split.enabled (not .Values.s3.bucket) }}{{ fail "split needs s3.bucket: roles share nothing but Redis and the object store" }}{{ end }}
{{- if and .Values.autoscaling.enabled (not .Values.s3.bucket) }}{{ fail "autoscaling needs s3.bucket: without it there can be only one node" }}{{ end }}
{{- if and .Values.s3.bucket (not .Values.redis.internal.enabled) (not .Values.redis.external.url) (not .Values.redis.external.existingSecret) }}{{ fail "with redis.internal.enabled: false, redis.external.url or redis.external.existingSecret must be set" }}{{ end }}
{{- if and (not .Values.s3.bucket) (or .Values.redis.external.url .Values.redis.external.existingSecret) }}{{ fail "an external Redis needs s3.bucket: on one node's disk it has no use" }}{{ end }}
{{- $server := .Values.config.server | default dict }}
{{- if ne (toString ($server.http_listen_port | default 3100)) "3100" }}{{ fail "config.server.http_listen_port: containers, probes and Services of the chart are for 3100; service.port is what others see" }}{{ end }}
{{- if trimSuffix "/" ($server.http_path_prefix | default "") }}{{ fail "config.server.http_path_prefix: probes and the gateway of the chart know no prefix; let the ingress cut it off" }}{{ end }}
{{- if ($server.http_tls_config | default dict).cert_file }}{{ fail "config.server.http_tls_config: probes and the gateway of the chart speak plain HTTP; let the ingress terminate TLS (ingress.tls)" }}{{ end }}
{{- $auth := .Values.config.auth | default dict }}
{{- if and (or $auth.users $auth.tokens) (hasKey $auth "open") (not (and (has "ready" $auth.open) (has "buildinfo" $auth.open))) }}{{ fail "config.auth.open must name ready and buildinfo: the probes of the chart have no credentials" }}{{ end }}
{{- end }}

{{/* The beginning of every name: the release's, which is `orderflow` in the docs. */}}
{{- define "orderflow.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes: a selector can't. Called with (list $ "worker"). */}}
{{- define "orderflow.selector" -}}
app.kubernetes.io/name: orderflow
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "orderflow.labels" -}}
{{ include "orderflow.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end -}}

{{- define "orderflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The settings, with what follows from the other values; those of the values win. */}}
{{- define "orderflow.settings" -}}
{{- $found := dict "GATEWAY_WORKERS" (printf "http://%s-workers:6066" (include "orderflow.fullname" .)) -}}
{{- if .Values.ingress.enabled -}}
{{- $_ := set $found "GATEWAY_TRUSTED_PROXIES" .Values.ingress.trustedProxies -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $found $name (toString $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* A variable from the secret. Called with (list $ "MONGODB_URL" true), true where it is needed. */}}
{{- define "orderflow.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ (index . 0).Values.secret.name }}
      key: {{ index . 1 }}
      {{- if not (index . 2) }}
      optional: true
      {{- end }}
{{- end -}}

{{/* How whoever asks Kafka says who it is; nothing without a secret for it. */}}
{{- define "orderflow.kafka.env" -}}
{{- $secret := .Values.kafka.secret -}}
{{- if $secret -}}
{{- range list "KAFKA_SASL_USERNAME" "KAFKA_SASL_PASSWORD" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ . }}
      optional: true
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "orderflow.kafka.mount" -}}
{{- if .Values.kafka.secret }}
- name: kafka
  mountPath: /etc/orderflow/kafka
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "orderflow.kafka.volume" -}}
{{- with .Values.kafka.secret }}
- name: kafka
  secret:
    secretName: {{ . }}
    # Read by the group that the pod's account is in.
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{/* The beginning of every pod's spec. */}}
{{- define "orderflow.pod" -}}
serviceAccountName: {{ include "orderflow.fullname" . }}
automountServiceAccountToken: false
# Else a service called `gateway` would set GATEWAY_PORT to an address.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* What every container has. */}}
{{- define "orderflow.container" -}}
image: {{ include "orderflow.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "orderflow.fullname" . }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: data
    mountPath: /data
  - name: tmp
    mountPath: /tmp
{{- end -}}

{{/* Where pods of a component are wanted. Called with (list $ "worker"). */}}
{{- define "orderflow.placement" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if (index . 0).Values.topologySpread.enabled }}
# A wish, not a condition: rather two in one zone than one that waits for a place.
topologySpreadConstraints:
  {{- $selector := include "orderflow.selector" . }}
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Each change moves partitions, during which they stand still. */}}
{{- define "orderflow.calmly" -}}
scaleUp:
  stabilizationWindowSeconds: 60
  policies:
    - type: Pods
      value: 2
      periodSeconds: 120
scaleDown:
  stabilizationWindowSeconds: 900
  policies:
    - type: Pods
      value: 1
      periodSeconds: 300
{{- end -}}

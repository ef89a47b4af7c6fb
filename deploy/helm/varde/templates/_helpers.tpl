{{- define "varde.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "varde.labels" -}}
app.kubernetes.io/name: varde
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "varde.selector" -}}
app.kubernetes.io/name: varde
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "varde.claim" -}}
{{- default (printf "%s-data" (include "varde.name" .)) .Values.data.existingClaim -}}
{{- end -}}

{{- /* What every container has: the settings, the secrets, the ports and the probes. */ -}}
{{- define "varde.container" -}}
envFrom:
  - configMapRef: {name: {{ include "varde.name" . }}-settings}
ports:
  - {name: http, containerPort: 8080}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: "/healthz?started", port: http}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
  - {name: admin, mountPath: /data/admin.token, subPath: token, readOnly: true}
{{- end -}}

{{- define "varde.secrets" -}}
- {name: VARDE_LEDGER, valueFrom: {secretKeyRef: {name: {{ .Values.services.secretName }}, key: ledger}}}
- {name: VARDE_QUEUE, valueFrom: {secretKeyRef: {name: {{ .Values.services.secretName }}, key: queue}}}
- {name: VARDE_S3_ACCESS_KEY, valueFrom: {secretKeyRef: {name: {{ .Values.services.secretName }}, key: s3-access-key}}}
- {name: VARDE_S3_SECRET_KEY, valueFrom: {secretKeyRef: {name: {{ .Values.services.secretName }}, key: s3-secret-key}}}
{{- end -}}

{{- /* What every pod has beside its container. */ -}}
{{- define "varde.pod" -}}
terminationGracePeriodSeconds: {{ add (int .Values.drainSeconds) 30 }}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{- /* The volumes that every pod has beside data. */ -}}
{{- define "varde.volumes" -}}
- {name: tmp, emptyDir: {}}
- {name: admin, secret: {secretName: {{ .Values.services.adminSecret }}, defaultMode: 0440}}
{{- end -}}

{{- define "dasklet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "dasklet.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "dasklet.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "dasklet.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "dasklet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dasklet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dasklet.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "dasklet.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "dasklet.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "dasklet.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "dasklet.image" -}}
{{ .Values.image.name }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* The namespaces that kopfArgs name, as a list in JSON: "--namespace=a", "--namespace a", "-n a". */}}
{{- define "dasklet.kopfNamespaces" -}}
{{- $found := list }}
{{- $next := false }}
{{- range .Values.kopfArgs }}
{{- if contains "*" . }}
{{- fail (printf "kopfArgs has %s: patterns of namespaces are not followed, list the namespaces" .) }}
{{- end }}
{{- if $next }}
{{- $found = append $found . }}
{{- $next = false }}
{{- else if or (eq . "-n") (eq . "--namespace") }}
{{- $next = true }}
{{- else if hasPrefix "--namespace=" . }}
{{- $found = append $found (trimPrefix "--namespace=" .) }}
{{- else if hasPrefix "-n=" . }}
{{- $found = append $found (trimPrefix "-n=" .) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- /* The namespaces to work in, as a list in JSON; empty: all. */}}
{{- define "dasklet.namespaces" -}}
{{- $kopf := include "dasklet.kopfNamespaces" . | fromJsonArray }}
{{- if $kopf }}
{{- toJson $kopf }}
{{- else if .Values.rbac.cluster }}
{{- toJson list }}
{{- else }}
{{- .Values.rbac.namespaces | default (list .Release.Namespace) | toJson }}
{{- end }}
{{- end }}

{{- /* What is logged: kopf's words for it go before the default. */}}
{{- define "dasklet.log" -}}
{{- if or (has "--debug" .Values.kopfArgs) (has "-d" .Values.kopfArgs) (has "--verbose" .Values.kopfArgs) (has "-v" .Values.kopfArgs) }}debug,kube=info,hyper=info,tower=info
{{- else if or (has "--quiet" .Values.kopfArgs) (has "-q" .Values.kopfArgs) }}warn
{{- else }}{{ .Values.log.level }}
{{- end }}
{{- end }}

{{- /* What the operator may do in the namespaces that it works in. */}}
{{- define "dasklet.rules" -}}
- apiGroups: [kubernetes.dask.org]
  resources: [daskclusters, daskworkergroups, daskautoscalers, daskjobs]
  verbs: [get, list, watch, patch]
- apiGroups: [kubernetes.dask.org]
  resources: [daskclusters, daskworkergroups]
  verbs: [create, delete]
- apiGroups: [kubernetes.dask.org]
  resources: [daskjobs]
  verbs: [delete]
- apiGroups: [kubernetes.dask.org]
  resources: [daskclusters/status, daskworkergroups/status, daskautoscalers/status, daskjobs/status]
  verbs: [patch]
# An owner reference that blocks the owner's deletion needs this.
- apiGroups: [kubernetes.dask.org]
  resources: [daskclusters/finalizers, daskworkergroups/finalizers, daskautoscalers/finalizers, daskjobs/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{- /* Where schedulers and workers are looked for: as asked, else wherever the operator works. */}}
{{- define "dasklet.monitoredNamespaces" -}}
{{- $root := index . 0 }}
{{- $namespaces := include "dasklet.namespaces" $root | fromJsonArray }}
{{- if index . 1 }}
{{- toYaml (index . 1) }}
{{- else if $namespaces }}
{{- toYaml (dict "matchNames" $namespaces) }}
{{- else }}
{{- toYaml (dict "any" true) }}
{{- end }}
{{- end }}

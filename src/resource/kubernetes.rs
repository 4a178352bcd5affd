//! Core Kubernetes objects: the ones that make services, endpoints and identities.
//!
//! Only fields that reach routing are records; the many others a pod has are listed as irrelevant,
//! so that a misspelt field is still found.

use super::meta::{LabelSelector, ObjectMeta};
use super::scalar::PortRef;
use crate::source::Spanned;
use crate::yaml::{Map, Node};

crate::record! {
    /// A Service's `spec`.
    pub struct ServiceSpec {
        /// Labels of the pods behind it; empty for services whose endpoints are given otherwise.
        pub selector: Map<Spanned<String>> = "selector",
        /// Ports.
        pub ports: Vec<ServicePort> = "ports",
        /// `ClusterIP` (default), `NodePort`, `LoadBalancer` or `ExternalName`.
        pub kind: Option<Spanned<String>> = "type",
        /// The virtual address; `None` makes the service headless.
        pub cluster_ip: Option<Spanned<String>> = "clusterIP",
        /// All virtual addresses.
        pub cluster_ips: Vec<Spanned<String>> = "clusterIPs",
        /// What an ExternalName service stands for.
        pub external_name: Option<Spanned<String>> = "externalName",
        /// Addresses outside of the cluster that lead here.
        pub external_ips: Vec<Spanned<String>> = "externalIPs",
        /// Whether endpoints that are not ready are published.
        pub publish_not_ready_addresses: Option<bool> = "publishNotReadyAddresses",
        /// `PreferClose`, `PreferSameZone` or `PreferSameNode`.
        pub traffic_distribution: Option<Spanned<String>> = "trafficDistribution",
        /// `Cluster` or `Local`.
        pub internal_traffic_policy: Option<Spanned<String>> = "internalTrafficPolicy",
    }
    irrelevant "sessionAffinity sessionAffinityConfig loadBalancerIP loadBalancerSourceRanges loadBalancerClass externalTrafficPolicy healthCheckNodePort ipFamilies ipFamilyPolicy allocateLoadBalancerNodePorts";

    /// A port of a Service.
    pub struct ServicePort {
        /// Name; its prefix selects the protocol for Istio.
        pub name: Option<Spanned<String>> = "name",
        /// Port number of the service.
        pub port: Option<Spanned<i64>> = "port",
        /// Port of the pods, a number or the name of a container port; the service port by default.
        pub target_port: Option<PortRef> = "targetPort",
        /// `TCP` (default), `UDP` or `SCTP`.
        pub protocol: Option<Spanned<String>> = "protocol",
        /// The application protocol; overrides the name's prefix.
        pub app_protocol: Option<Spanned<String>> = "appProtocol",
        /// The port on every node.
        pub node_port: Option<Spanned<i64>> = "nodePort",
    }

    /// A pod's `spec`.
    pub struct PodSpec {
        /// Containers.
        pub containers: Vec<Container> = "containers",
        /// Containers that run before, or beside as sidecars.
        pub init_containers: Vec<Container> = "initContainers",
        /// Service account; `default` if absent.
        pub service_account_name: Option<Spanned<String>> = "serviceAccountName",
        /// The old name of `serviceAccountName`.
        pub service_account: Option<Spanned<String>> = "serviceAccount",
        /// Whether the pod shares the node's network, which excludes a sidecar.
        pub host_network: Option<bool> = "hostNetwork",
        /// The node it runs on.
        pub node_name: Option<Spanned<String>> = "nodeName",
        /// Host name of pods of a StatefulSet.
        pub hostname: Option<Spanned<String>> = "hostname",
        /// The subdomain of its DNS name.
        pub subdomain: Option<Spanned<String>> = "subdomain",
        /// User, group and so on of all containers.
        pub security_context: Option<Node> = "securityContext",
    }
    irrelevant "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers hostAliases hostIPC hostPID hostUsers imagePullSecrets nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates setHostnameAsFQDN shareProcessNamespace terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes hostnameOverride workloadRef";

    /// A container of a pod.
    pub struct Container {
        /// Name.
        pub name: Option<Spanned<String>> = "name",
        /// Image.
        pub image: Option<Spanned<String>> = "image",
        /// Ports it declares.
        pub ports: Vec<ContainerPort> = "ports",
        /// Environment.
        pub env: Vec<EnvVar> = "env",
        /// User, group and so on.
        pub security_context: Option<Node> = "securityContext",
    }
    irrelevant "args command envFrom imagePullPolicy lifecycle livenessProbe readinessProbe resizePolicy resources restartPolicy restartPolicyRules startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir";

    /// A port that a container declares.
    pub struct ContainerPort {
        /// Name, which a Service may refer to.
        pub name: Option<Spanned<String>> = "name",
        /// Number.
        pub container_port: Option<Spanned<i64>> = "containerPort",
        /// `TCP` (default), `UDP` or `SCTP`.
        pub protocol: Option<Spanned<String>> = "protocol",
    }
    irrelevant "hostIP hostPort";

    /// An environment variable.
    pub struct EnvVar {
        /// Name.
        pub name: Option<Spanned<String>> = "name",
        /// Value.
        pub value: Option<Spanned<String>> = "value",
    }
    irrelevant "valueFrom";

    /// What a workload stamps its pods from.
    pub struct PodTemplate {
        /// Labels and annotations of the pods.
        pub metadata: ObjectMeta = "metadata",
        /// What runs.
        pub spec: PodSpec = "spec",
    }

    /// The `spec` of a Deployment, StatefulSet, DaemonSet, ReplicaSet or Job.
    pub struct WorkloadSpec {
        /// How many pods; 1 if absent. A DaemonSet has none and gets one pod.
        pub replicas: Option<Spanned<i64>> = "replicas",
        /// Which pods belong to it.
        pub selector: Option<LabelSelector> = "selector",
        /// What the pods look like.
        pub template: PodTemplate = "template",
        /// How many pods of a Job run at once.
        pub parallelism: Option<Spanned<i64>> = "parallelism",
        /// The service that governs a StatefulSet's names.
        pub service_name: Option<Spanned<String>> = "serviceName",
    }
    irrelevant "minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit strategy updateStrategy podManagementPolicy volumeClaimTemplates persistentVolumeClaimRetentionPolicy ordinals activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions managedBy manualSelector maxFailedIndexes podFailurePolicy podReplacementPolicy successPolicy suspend ttlSecondsAfterFinished rollbackTo templateGeneration";

    /// A pod's `status`, as far as endpoints need it.
    pub struct PodStatus {
        /// The pod's address.
        pub pod_ip: Option<Spanned<String>> = "podIP",
        /// `Running`, `Pending` and so on.
        pub phase: Option<Spanned<String>> = "phase",
        /// Conditions; `Ready` decides whether the pod is an endpoint.
        pub conditions: Vec<PodCondition> = "conditions",
    }
    irrelevant "containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP hostIPs initContainerStatuses message nominatedNodeName observedGeneration podIPs qosClass reason resize resourceClaimStatuses startTime resources allocatedResources";
    may_be_absent "Manifests have no status; the cluster adds it.";

    /// One condition of a pod.
    pub struct PodCondition {
        /// Which condition.
        pub kind: Option<Spanned<String>> = "type",
        /// `True`, `False` or `Unknown`.
        pub status: Option<Spanned<String>> = "status",
    }
    irrelevant "lastProbeTime lastTransitionTime message observedGeneration reason";

    /// One group of an Endpoints object.
    pub struct EndpointSubset {
        /// Ready addresses.
        pub addresses: Vec<EndpointAddress> = "addresses",
        /// Addresses that are not ready.
        pub not_ready_addresses: Vec<EndpointAddress> = "notReadyAddresses",
        /// Ports.
        pub ports: Vec<EndpointPort> = "ports",
    }

    /// One address of an Endpoints object.
    pub struct EndpointAddress {
        /// Address.
        pub ip: Option<Spanned<String>> = "ip",
        /// The pod behind it.
        pub target_ref: Option<TargetRef> = "targetRef",
    }
    irrelevant "hostname nodeName";

    /// A port of Endpoints or of an EndpointSlice.
    pub struct EndpointPort {
        /// Name; equals the Service port's name.
        pub name: Option<Spanned<String>> = "name",
        /// Number.
        pub port: Option<Spanned<i64>> = "port",
        /// `TCP`, `UDP` or `SCTP`.
        pub protocol: Option<Spanned<String>> = "protocol",
        /// The application protocol.
        pub app_protocol: Option<Spanned<String>> = "appProtocol",
    }

    /// One endpoint of an EndpointSlice.
    pub struct SliceEndpoint {
        /// Addresses.
        pub addresses: Vec<Spanned<String>> = "addresses",
        /// Readiness.
        pub conditions: EndpointConditions = "conditions",
        /// The pod behind it.
        pub target_ref: Option<TargetRef> = "targetRef",
        /// The zone it is in.
        pub zone: Option<Spanned<String>> = "zone",
    }
    irrelevant "deprecatedTopology hints hostname nodeName topology";

    /// Readiness of a slice's endpoint.
    pub struct EndpointConditions {
        /// Whether it is ready; absent means ready.
        pub ready: Option<bool> = "ready",
        /// Whether it serves.
        pub serving: Option<bool> = "serving",
        /// Whether it is going away.
        pub terminating: Option<bool> = "terminating",
    }
    may_be_absent "Without conditions an endpoint is ready.";

    /// A reference from an endpoint to its pod.
    pub struct TargetRef {
        /// `Pod`.
        pub kind: Option<Spanned<String>> = "kind",
        /// Name.
        pub name: Option<Spanned<String>> = "name",
        /// Namespace.
        pub namespace: Option<Spanned<String>> = "namespace",
    }
    irrelevant "apiVersion fieldPath resourceVersion uid";
}

// Objects whose content stands beside `metadata`, without a `spec`.
crate::record! {
    /// An Endpoints object without its metadata.
    pub struct Endpoints {
        /// Groups of addresses.
        pub subsets: Vec<EndpointSubset> = "subsets",
    }
    irrelevant "apiVersion kind metadata";

    /// An EndpointSlice without its metadata.
    pub struct EndpointSlice {
        /// `IPv4`, `IPv6` or `FQDN`.
        pub address_type: Option<Spanned<String>> = "addressType",
        /// Endpoints.
        pub endpoints: Vec<SliceEndpoint> = "endpoints",
        /// Ports of all of them.
        pub ports: Vec<EndpointPort> = "ports",
    }
    irrelevant "apiVersion kind metadata";

    /// A ConfigMap without its metadata.
    pub struct ConfigMap {
        /// Texts.
        pub data: Map<Spanned<String>> = "data",
    }
    irrelevant "apiVersion kind metadata binaryData immutable";

    /// A Pod without its metadata.
    pub struct Pod {
        /// What runs.
        pub spec: PodSpec = "spec",
        /// What the cluster says about it.
        pub status: PodStatus = "status",
    }
    irrelevant "apiVersion kind metadata";

    /// An object of which only the metadata matters.
    pub struct MetadataOnly {
        /// The object's `spec`, kept as it is.
        pub spec: Option<Node> = "spec",
        /// A Secret's values in base64.
        pub data: Option<Node> = "data",
        /// A Secret's values as text.
        pub string_data: Option<Node> = "stringData",
        /// The webhooks of a webhook configuration.
        pub webhooks: Vec<Node> = "webhooks",
    }
    irrelevant "apiVersion kind metadata status type secrets imagePullSecrets automountServiceAccountToken immutable";
}

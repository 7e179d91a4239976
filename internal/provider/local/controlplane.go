package local

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"berth/internal/provider/local/supervisor"
)

// Users of the control plane's own parts, each with its least privilege.
const (
	adminUser       = "berth:admin"
	managerUser     = "system:kube-controller-manager"
	schedulerUser   = "system:kube-scheduler"
	proxyUser       = "system:kube-proxy"
	dnsUser         = "system:coredns"
	provisionerUser = "berth:provisioner"
	metricsUser     = "berth:metrics"
	policiesUser    = "berth:policies"
	// kubeletClientUser is who the API server is to the kubelets.
	kubeletClientUser = "kube-apiserver-kubelet-client"
)

// The two that everything else needs.
const (
	etcdPart      = "etcd"
	apiServerPart = "kube-apiserver"
)

// controlPlane is everything of a cluster that is not a node.
type controlPlane struct {
	layout     layout
	network    network
	kubernetes string // the binary of kube/
}

func (c controlPlane) server() string     { return fmt.Sprintf("https://%s:%d", c.network.api(), apiPort) }
func (c controlPlane) registry() registry { return registry{c.layout, c.network} }
func (c controlPlane) bucketEndpoint() string {
	return fmt.Sprintf("https://%s:%d", c.network.api(), bucketPort)
}

// configure writes keys, certificates, kubeconfigs and configuration files.
// What is right already stays as it is.
func (c controlPlane) configure() (kubernetes *authority, err error) {
	l := c.layout
	for _, folder := range []string{l.in("pki"), l.in("etc"), l.etcd(), l.volumes(), l.buckets(), l.podLogs()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	kubernetes, err = loadAuthority(l, "kubernetes", nil)
	if err != nil {
		return nil, err
	}
	etcd, err := loadAuthority(l, "etcd", nil)
	if err != nil {
		return nil, err
	}
	frontProxy, err := loadAuthority(l, frontProxyAuthority, nil)
	if err != nil {
		return nil, err
	}
	api := c.network.api().String()
	for _, certificate := range []struct {
		by    *authority
		name  string
		user  string
		group string
		hosts []string
	}{
		{etcd, "etcd", "etcd", "", []string{"localhost", "127.0.0.1"}},
		{etcd, "etcd-client", "kube-apiserver", "", nil},
		{kubernetes, "apiserver", "kube-apiserver", "", []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			api, c.network.firstService().String()}},
		{kubernetes, "apiserver-kubelet-client", kubeletClientUser, "", nil},
		{kubernetes, "bucket", "bucket", "", []string{"localhost", api}},
		{frontProxy, frontProxyUser, frontProxyUser, "", nil},
		{kubernetes, metricsService, metricsService, "", []string{metricsService + ".kube-system.svc"}},
	} {
		if err := certificate.by.issue(l.pki(certificate.name+".crt"), certificate.user, certificate.group, certificate.hosts...); err != nil {
			return nil, err
		}
	}
	for user, group := range map[string]string{
		adminUser: "system:masters", managerUser: "", schedulerUser: "", proxyUser: "", dnsUser: "", provisionerUser: "",
		metricsUser: "", policiesUser: "",
	} {
		if err := writeKubeconfig(l, kubernetes, c.server(), user, group); err != nil {
			return nil, err
		}
	}
	// The key that signs service accounts' tokens is an authority's, used as
	// a bare key.
	if _, err := loadAuthority(l, "service-account", nil); err != nil {
		return nil, err
	}
	if err := c.registry().configure(kubernetes); err != nil {
		return nil, err
	}
	return kubernetes, c.writeFiles()
}

func (c controlPlane) writeFiles() error {
	// Secrets are encrypted in etcd, under a key that a copy of etcd's folder
	// does not hold.
	key, err := onceRandom(c.layout.pki("secrets.key"))
	if err != nil {
		return err
	}
	raw, err := hex.DecodeString(key)
	if err != nil {
		return fmt.Errorf("read the key of secrets: %w", err)
	}
	encryption := fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: key1, secret: %s}]}
  - identity: {}
`, base64.StdEncoding.EncodeToString(raw))
	corefile := fmt.Sprintf(`.:53 {
	bind %s
	errors
	kubernetes cluster.local in-addr.arpa {
		kubeconfig %s
		ttl 5
	}
%s	cache 5
}
`, c.network.dns(), c.layout.kubeconfig(dnsUser), c.forward())
	for name, content := range map[string]string{
		"encryption.yaml": encryption,
		"Corefile":        corefile,
		"resolv.conf":     fmt.Sprintf("nameserver %s\n", c.network.dns()),
	} {
		if err := replaceFile(c.layout.etc(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
	}
	return nil
}

// forward is the Corefile's line for names outside the cluster: none on a
// machine that has no name server.
func (c controlPlane) forward() string {
	const resolv = "/etc/resolv.conf"
	content, err := os.ReadFile(resolv)
	if err != nil || !slices.ContainsFunc(strings.Split(string(content), "\n"), func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), "nameserver")
	}) {
		return ""
	}
	return "\tforward . " + resolv + "\n"
}

// parts are the processes, in the order in which they need each other.
func (c controlPlane) parts() ([]supervisor.Part, error) {
	l, api := c.layout, c.network.api().String()
	access, secret, err := c.bucketKeys("bucket")
	if err != nil {
		return nil, err
	}
	logAccess, logSecret, err := c.bucketKeys("logs")
	if err != nil {
		return nil, err
	}
	environment := []string{"PATH=" + os.Getenv("PATH"), collectEarly}
	etcd := fmt.Sprintf("https://127.0.0.1:%d", etcdPort)
	peer := fmt.Sprintf("https://127.0.0.1:%d", etcdPeerPort)
	component := func(name string, arguments ...string) supervisor.Part {
		return supervisor.Part{Name: name, Args: append([]string{c.kubernetes, name}, arguments...), Env: slices.Clone(environment)}
	}
	bucket := component("s3-gateway", "--root", l.buckets(), "--listen", fmt.Sprintf("%s:%d", api, bucketPort),
		"--cert", l.pki("bucket.crt"), "--key", l.pki("bucket.key"))
	bucket.Env = append(bucket.Env, "AWS_ACCESS_KEY_ID="+access, "AWS_SECRET_ACCESS_KEY="+secret,
		"USER_ACCESS_KEY_ID="+logAccess, "USER_SECRET_ACCESS_KEY="+logSecret)
	images, err := c.registry().part(c.kubernetes)
	if err != nil {
		return nil, err
	}
	return []supervisor.Part{
		{
			Name: etcdPart,
			Args: []string{l.program("usr/bin/etcd"), "--name", "local", "--data-dir", l.etcd(),
				"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "local=" + peer,
				"--cert-file", l.pki("etcd.crt"), "--key-file", l.pki("etcd.key"),
				"--trusted-ca-file", l.pki("etcd-ca.crt"), "--client-cert-auth",
				"--peer-cert-file", l.pki("etcd.crt"), "--peer-key-file", l.pki("etcd.key"),
				"--peer-trusted-ca-file", l.pki("etcd-ca.crt"), "--peer-client-cert-auth",
				"--auto-compaction-retention", "1h", "--logger", "zap",
				// It has no peer to be in time for, and keeps in memory what has
				// come since the last snapshot.
				// https://etcd.io/docs/v3.4/tuning/
				"--heartbeat-interval", "500", "--election-timeout", "5000", "--snapshot-count", "10000",
			},
			Env: environment,
		},
		component(apiServerPart,
			"--bind-address", api, "--advertise-address", api, "--secure-port", fmt.Sprint(apiPort),
			"--etcd-servers", etcd, "--etcd-cafile", l.pki("etcd-ca.crt"),
			"--etcd-certfile", l.pki("etcd-client.crt"), "--etcd-keyfile", l.pki("etcd-client.key"),
			"--encryption-provider-config", l.etc("encryption.yaml"),
			"--tls-cert-file", l.pki("apiserver.crt"), "--tls-private-key-file", l.pki("apiserver.key"),
			"--client-ca-file", l.pki("kubernetes-ca.crt"),
			"--kubelet-certificate-authority", l.pki("kubernetes-ca.crt"),
			"--kubelet-client-certificate", l.pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key", l.pki("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types", "InternalIP",
			"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file", l.pki("service-account-ca.crt"),
			"--service-account-signing-key-file", l.pki("service-account-ca.key"),
			"--service-cluster-ip-range", c.network.services().String(),
			"--authorization-mode", "Node,RBAC", "--anonymous-auth=false",
			"--enable-admission-plugins", "NodeRestriction",
			"--allow-privileged", "--profiling=false",
			// Else stopping waits for watches, which pods keep open.
			"--shutdown-send-retry-after",
			// It passes requests for metrics on, in the names of those who ask.
			"--proxy-client-cert-file", l.pki(frontProxyUser+".crt"), "--proxy-client-key-file", l.pki(frontProxyUser+".key"),
			"--requestheader-client-ca-file", l.pki(frontProxyAuthority+"-ca.crt"), "--requestheader-allowed-names", frontProxyUser,
			"--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
			"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
			"--enable-aggregator-routing", // straight to the address, with no kube-proxy between
		),
		component("kube-controller-manager",
			"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(managerPort), "--leader-elect=false",
			"--kubeconfig", l.kubeconfig(managerUser),
			"--authentication-kubeconfig", l.kubeconfig(managerUser),
			"--authorization-kubeconfig", l.kubeconfig(managerUser),
			"--use-service-account-credentials", "--profiling=false",
			"--root-ca-file", l.pki("kubernetes-ca.crt"),
			"--service-account-private-key-file", l.pki("service-account-ca.key"),
			"--node-monitor-grace-period", "20s", "--node-monitor-period", "2s",
			"--terminated-pod-gc-threshold", "50", "--controllers", controllers(),
			"--flex-volume-plugin-dir", l.in("volume-plugins"), // else a folder below /usr
		),
		component("kube-scheduler",
			"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(schedulerPort), "--leader-elect=false",
			"--kubeconfig", l.kubeconfig(schedulerUser),
			"--authentication-kubeconfig", l.kubeconfig(schedulerUser),
			"--authorization-kubeconfig", l.kubeconfig(schedulerUser), "--profiling=false",
		),
		// One serves all nodes: they share this machine's network.
		component("kube-proxy",
			"--kubeconfig", l.kubeconfig(proxyUser), "--proxy-mode", "nftables",
			"--hostname-override", node{number: 1}.name(), "--cluster-cidr", c.network.cluster().String(),
			"--metrics-bind-address", fmt.Sprintf("127.0.0.1:%d", proxyPort),
			"--healthz-bind-address", fmt.Sprintf("127.0.0.1:%d", proxyHealth),
			// Leave the machine's connection tracking as it is.
			"--conntrack-max-per-core", "0", "--conntrack-min", "0",
			"--conntrack-tcp-timeout-established", "0s", "--conntrack-tcp-timeout-close-wait", "0s",
		),
		component(policiesPart, "--kubeconfig", l.kubeconfig(policiesUser)),
		component("coredns", "-conf", l.etc("Corefile")),
		component("provisioner", "--kubeconfig", l.kubeconfig(provisionerUser), "--root", l.volumes()),
		bucket,
		images,
		component("metrics-server", c.metricsArguments()...),
	}, nil
}

// bucketKeys returns a pair of keys of the S3 gateway, made at first: "bucket" for the
// one that may do everything, "logs" for the one that may only write logs.
func (c controlPlane) bucketKeys(name string) (access, secret string, err error) {
	if access, err = onceRandom(c.layout.pki(name + "-access.key")); err != nil {
		return "", "", err
	}
	secret, err = onceRandom(c.layout.pki(name + "-secret.key"))
	return access[:20], secret, err
}

// idle are the controller manager's loops that have nothing to do here. Each
// would watch its part of the API from the start on.
var idle = []string{
	// berth issues every certificate itself.
	"certificatesigningrequest-approving-controller", "certificatesigningrequest-cleaner-controller", "certificatesigningrequest-signing-controller",
	// Volumes are folders of this machine: nothing is attached, and none has a size.
	"persistentvolume-attach-detach-controller", "persistentvolume-expander-controller",
	// Dynamic resources take a driver, which is not here.
	"device-taint-eviction-controller", "resourceclaim-controller",
	// For clusters of hundreds of nodes.
	"ttl-controller",
}

// controllers are those that run: all that do by default, but for the idle.
func controllers() string { return "*,-" + strings.Join(idle, ",-") }

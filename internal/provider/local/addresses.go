package local

import "net/netip"

// network is the /16 of a local cluster: its lower half for this machine, its
// nodes and their pods, its upper half for services. All addresses of machine
// and nodes are on the loopback interface, so they exist without a network.
type network struct{ netip.Prefix }

const maxNodes = 60

func (n network) host(third, fourth byte) netip.Addr {
	a := n.Masked().Addr().As4()
	return netip.AddrFrom4([4]byte{a[0], a[1], third, fourth})
}

func (n network) api() netip.Addr          { return n.host(0, 1) }
func (n network) dns() netip.Addr          { return n.host(0, 2) }
func (n network) node(i int) netip.Addr    { return n.host(0, byte(10+i)) }
func (n network) machine() netip.Prefix    { return netip.PrefixFrom(n.host(0, 0), 24) }
func (n network) pods(i int) netip.Prefix  { return netip.PrefixFrom(n.host(byte(i), 0), 24) }
func (n network) cluster() netip.Prefix    { return netip.PrefixFrom(n.host(0, 0), 17) }
func (n network) services() netip.Prefix   { return netip.PrefixFrom(n.host(128, 0), 17) }
func (n network) firstService() netip.Addr { return n.host(128, 1) }

// Ports on loopback and on the machine's own address in the cluster's network.
// They are not the usual ones, so that another Kubernetes or etcd on this
// machine is not in the way.
const (
	etcdPort      = 20379
	etcdPeerPort  = 20380
	apiPort       = 6443
	dnsPort       = 53
	kubeletPort   = 10250
	kubeletHealth = 10248
	bucketPort    = 9000
	managerPort   = 20257
	schedulerPort = 20259
	proxyPort     = 20249
	proxyHealth   = 20256
	metricsPort   = 20443
	registryPort  = 20500
	ingressStatus = 10254 // charts/ingress says so
)

package httpx

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/net/idna"
)

// metadataServices are those of clouds that have no link-local address.
func metadataServices() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("fd00:ec2::/32"),      // AWS: instances, and pods of EKS
		netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud
		netip.MustParsePrefix("fd00:42::42/128"),    // Scaleway
		netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
		netip.MustParsePrefix("168.63.129.16/32"),   // Azure
		netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
	}
}

// specialPrefixes are what IANA's registries of special-purpose addresses hold,
// beyond what net/netip names: no public host has such an address.
func specialPrefixes() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("64:ff9b:1::/48"), // translated to IPv4 as the network likes
		netip.MustParsePrefix("100::/63"),
		netip.MustParsePrefix("2001::/23"), // Teredo and others
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("3fff::/20"),
		netip.MustParsePrefix("5f00::/16"),
		netip.MustParsePrefix("fec0::/10"),
	}
}

// leadsTo are an address and the IPv4 ones that it may be translated to; see RFC
// 6052, section 2.2, for the places in which a prefix of 48 bits allows one.
func leadsTo(a netip.Addr) []netip.Addr {
	a = a.Unmap().WithZone("")
	b := a.As16()
	found := []netip.Addr{a}
	four := func(i, j, k, l int) { found = append(found, netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]})) }
	switch {
	case a.Is4():
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a),
		netip.MustParsePrefix("::ffff:0:0:0/96").Contains(a), netip.MustParsePrefix("::/96").Contains(a):
		four(12, 13, 14, 15)
	case netip.MustParsePrefix("64:ff9b:1::/48").Contains(a):
		four(6, 7, 9, 10)
		four(7, 9, 10, 11)
		four(9, 10, 11, 12)
		four(12, 13, 14, 15)
	case netip.MustParsePrefix("2002::/16").Contains(a):
		four(2, 3, 4, 5)
	}
	return found
}

func isMetadata(a netip.Addr) bool {
	return slices.ContainsFunc(leadsTo(a), func(a netip.Addr) bool {
		return a.IsLinkLocalUnicast() || isIn(metadataServices(), a)
	})
}

func isPrivate(a netip.Addr) bool {
	return slices.ContainsFunc(leadsTo(a), func(a netip.Addr) bool {
		return a.IsPrivate() || !a.IsGlobalUnicast() || isIn(specialPrefixes(), a)
	})
}

func isIn(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// dialCheck judges an address after its name was resolved, right before it is
// dialled: a name that resolves differently the next time gains nothing.
func dialCheck(refusePrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%q is no address to dial: %w", clip(address), ErrAddress)
		}
		switch {
		case isMetadata(at.Addr()):
			return fmt.Errorf("%s is a link-local address, or a cloud's metadata service: %w", at.Addr(), ErrAddress)
		case refusePrivate && isPrivate(at.Addr()):
			return fmt.Errorf("%s is a private address, which --no-private-addresses refuses: %w", at.Addr(), ErrAddress)
		}
		return nil
	}
}

// asciiHost is a host as net/http asks for it: digits and dots of other scripts
// become ASCII's.
func asciiHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	return strings.ToLower(strings.TrimRight(host, "."))
}

// checkProxied judges the host of a request whose name a proxy resolves: only
// what the name itself gives away can be seen.
func checkProxied(host string, refusePrivate bool) error {
	host = asciiHost(host)
	if a, err := netip.ParseAddr(host); err == nil {
		switch {
		case isMetadata(a):
			return fmt.Errorf("%s is a link-local address, or a cloud's metadata service: %w", a, ErrAddress)
		case refusePrivate && isPrivate(a):
			return fmt.Errorf("%s is a private address, which --no-private-addresses refuses: %w", a, ErrAddress)
		}
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case last == "", strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x"):
		return fmt.Errorf("%q is an address in disguise: %w", clip(host), ErrAddress)
	case host == "metadata.google.internal", host == "metadata.goog":
		return fmt.Errorf("%q is a cloud's metadata service: %w", host, ErrAddress)
	case refusePrivate && last == "localhost":
		return fmt.Errorf("%q is a name for a private address, which --no-private-addresses refuses: %w", clip(host), ErrAddress)
	}
	return nil
}

// IsLoopback says that a host, without a port, is this machine by its name or address.
// Nothing is resolved.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

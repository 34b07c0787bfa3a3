package httpx

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// metadataServices are those of clouds that have no link-local address.
func metadataServices() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("192.0.0.192"),     // Oracle
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
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("::/96"),
		netip.MustParsePrefix("100::/64"),
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("fec0::/10"),
	}
}

// inner is the IPv4 address that a translated IPv6 one leads to; others stay.
func inner(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case a.Is4():
		return a
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a), netip.MustParsePrefix("64:ff9b:1::/48").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}

func isMetadata(a netip.Addr) bool {
	a = inner(a)
	for _, service := range metadataServices() {
		if a == service {
			return true
		}
	}
	return a.IsLinkLocalUnicast()
}

func isPrivate(a netip.Addr) bool {
	a = inner(a)
	for _, prefix := range specialPrefixes() {
		if prefix.Contains(a) {
			return true
		}
	}
	return a.IsPrivate() || !a.IsGlobalUnicast()
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
			return fmt.Errorf("%s is a private address: %w", at.Addr(), ErrAddress)
		}
		return nil
	}
}

// checkProxied judges the host of a request whose name a proxy resolves: only
// what the name itself gives away can be seen.
func checkProxied(host string) error {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(host); err == nil {
		if isPrivate(a) {
			return fmt.Errorf("%s is a private address: %w", a, ErrAddress)
		}
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "localhost" || last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return fmt.Errorf("%q is a name for a private address: %w", clip(host), ErrAddress)
	}
	return nil
}

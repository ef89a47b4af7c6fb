package dimse

import (
	"net"
	"syscall"
)

// quickAck returns a function that asks the kernel to acknowledge at once. Linux
// forgets the wish by itself, so it is renewed after every read. Without it each
// object from a sender that leaves Nagle's algorithm on, as DCMTK's do, waits 40
// ms for our delayed acknowledgment, twice (RFC 896 against RFC 1122 §4.2.3.2).
func quickAck(c net.Conn) func() {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	set := func(fd uintptr) {
		// An old kernel that refuses is only slower.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}
	return func() { _ = raw.Control(set) }
}

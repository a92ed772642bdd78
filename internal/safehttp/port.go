package safehttp

import (
	"slices"
	"strconv"
)

// badPorts belong to protocols that a request could be smuggled into; browsers
// make no HTTP requests to them either.
// https://fetch.spec.whatwg.org/#port-blocking
var badPorts = []uint16{
	0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
	115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
	563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
	6668, 6669, 6679, 6697, 10080,
}

// mailPorts are where mail is handed over.
// https://www.rfc-editor.org/rfc/rfc8314#section-3
var mailPorts = []uint16{25, 465, 587, 2525}

// CheckHTTPPort returns nil when HTTP may be spoken to a port, and otherwise an
// error that wraps [ErrAddress].
func CheckHTTPPort(port uint16) error {
	if _, bad := slices.BinarySearch(badPorts, port); bad {
		return &refusal{reason: "port " + strconv.Itoa(int(port)) + " belongs to another protocol than HTTP"}
	}
	return nil
}

// CheckMailPort returns nil when SMTP may be spoken to a port, and otherwise an
// error that wraps [ErrAddress].
func CheckMailPort(port uint16) error {
	if !slices.Contains(mailPorts, port) {
		return &refusal{reason: "mail is handed over at the ports 25, 465, 587 and 2525, not at " + strconv.Itoa(int(port))}
	}
	return nil
}

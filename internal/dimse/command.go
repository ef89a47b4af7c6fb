package dimse

import (
	"encoding/binary"
	"fmt"
	"strings"

	"varde/study"
)

// Command fields, PS3.7 §E.1. A response has responseBit set.
const (
	fieldStore  = uint16(CStore)
	fieldEcho   = uint16(CEcho)
	fieldCancel = uint16(CCancel)
	responseBit = uint16(0x8000)
)

// An Operation is what a request asks for: its command field, PS3.7 §E.1.
type Operation uint16

// The operations.
const (
	CStore       Operation = 0x0001
	CGet         Operation = 0x0010
	CFind        Operation = 0x0020
	CMove        Operation = 0x0021
	CEcho        Operation = 0x0030
	NEventReport Operation = 0x0100
	NGet         Operation = 0x0110
	NSet         Operation = 0x0120
	NAction      Operation = 0x0130
	NCreate      Operation = 0x0140
	NDelete      Operation = 0x0150
	CCancel      Operation = 0x0FFF
)

var operationNames = map[Operation]string{
	CStore: "C-STORE", CGet: "C-GET", CFind: "C-FIND", CMove: "C-MOVE", CEcho: "C-ECHO", NEventReport: "N-EVENT-REPORT",
	NGet: "N-GET", NSet: "N-SET", NAction: "N-ACTION", NCreate: "N-CREATE", NDelete: "N-DELETE", CCancel: "C-CANCEL",
}

// String gives the standard's word for it.
func (o Operation) String() string {
	if name, ok := operationNames[o]; ok {
		return name
	}
	return fmt.Sprintf("%04X", uint16(o))
}

// requested reports whether an operation names its class and instance as
// requested; the others, and all responses, call them affected.
func (o Operation) requested() bool {
	return o == NGet || o == NSet || o == NAction || o == NDelete
}

// Command elements, PS3.7 §E.1, by their number in group 0000.
const (
	elemGroupLength    = 0x0000
	elemAffectedClass  = 0x0002
	elemRequestedClass = 0x0003
	elemField          = 0x0100
	elemMessageID      = 0x0110
	elemRespondedTo    = 0x0120
	elemDestination    = 0x0600
	elemPriority       = 0x0700
	elemDataSetType    = 0x0800
	elemStatus         = 0x0900
	elemAffectedInst   = 0x1000
	elemRequestedInst  = 0x1001
	elemEventType      = 0x1002
	elemActionType     = 0x1008
	elemRemaining      = 0x1020
	elemCompleted      = 0x1021
	elemFailed         = 0x1022
	elemWarning        = 0x1023
	elemOriginator     = 0x1030
	elemOriginatorID   = 0x1031
)

const (
	noDataSet      uint16 = 0x0101
	withDataSet    uint16 = 0x0001
	priorityMedium uint16 = 0x0000
)

// A command is a command set, as far as our services go.
type command struct {
	class       study.UID // affected or requested; not checked
	instance    study.UID // affected or requested; not checked
	field       uint16
	messageID   uint16
	respondedTo uint16
	hasData     bool
	status      Status
	priority    uint16
	kind        uint16 // event type or action type
	destination string // of a C-MOVE
	originator  string // of a C-STORE that a C-MOVE asked for: who asked
	originID    uint16 // … and under which message ID
	counts      *Suboperations
}

// Suboperations counts the C-STOREs of a C-MOVE or a C-GET, PS3.7 §9.1.4.
type Suboperations struct{ Remaining, Completed, Failed, Warning int }

// decodeCommand reads a command set: implicit little endian, group 0000 only. It
// refuses one without a command field or, for a request, without a message ID,
// since neither can be answered. Elements that it has no use for are skipped.
func decodeCommand(b []byte) (command, error) {
	var c command
	seen := map[uint16]bool{}
	for len(b) > 0 {
		if len(b) < 8 {
			return c, confused("command element header of %d bytes", len(b))
		}
		group, elem := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
		n := binary.LittleEndian.Uint32(b[4:])
		if group != 0 {
			return c, confused("element (%04X,%04X) in a command set", group, elem)
		}
		if uint64(n) > uint64(len(b)-8) {
			return c, confused("command element (0000,%04X) of %d bytes where %d are left", elem, n, len(b)-8)
		}
		if seen[elem] {
			return c, confused("command element (0000,%04X) twice", elem)
		}
		seen[elem] = true
		if err := c.set(elem, b[8:8+n]); err != nil {
			return c, err
		}
		b = b[8+n:]
	}
	switch {
	case !seen[elemField]:
		return c, confused("command set without a command field")
	case c.field&responseBit == 0 && c.field != fieldCancel && !seen[elemMessageID]:
		return c, confused("request %04X without a message ID", c.field)
	case c.field&responseBit != 0 && !(seen[elemRespondedTo] && seen[elemStatus]):
		return c, confused("response %04X without a message ID or a status", c.field)
	}
	return c, nil
}

// set takes one element.
func (c *command) set(elem uint16, v []byte) error {
	var number *uint16
	var dataSetType uint16
	switch elem {
	case elemAffectedClass, elemRequestedClass:
		c.class = trimUID(v)
	case elemAffectedInst, elemRequestedInst:
		c.instance = trimUID(v)
	case elemField:
		number = &c.field
	case elemMessageID:
		number = &c.messageID
	case elemRespondedTo:
		number = &c.respondedTo
	case elemStatus:
		number = (*uint16)(&c.status)
	case elemPriority:
		number = &c.priority
	case elemDataSetType:
		number = &dataSetType
	case elemEventType, elemActionType:
		number = &c.kind
	case elemDestination:
		c.destination = trimAE(v)
	case elemRemaining, elemCompleted, elemFailed, elemWarning:
		return c.count(elem, v)
	}
	if number == nil {
		return nil
	}
	if len(v) != 2 {
		return confused("command element (0000,%04X) of %d bytes, not 2", elem, len(v))
	}
	*number = binary.LittleEndian.Uint16(v)
	if elem == elemDataSetType {
		c.hasData = dataSetType != noDataSet
	}
	return nil
}

// count takes a number of sub-operations.
func (c *command) count(elem uint16, v []byte) error {
	if len(v) != 2 {
		return confused("command element (0000,%04X) of %d bytes, not 2", elem, len(v))
	}
	if c.counts == nil {
		c.counts = &Suboperations{}
	}
	*c.counts.of(elem) = int(binary.LittleEndian.Uint16(v))
	return nil
}

// of gives the place of the count that an element holds.
func (s *Suboperations) of(elem uint16) *int {
	switch elem {
	case elemRemaining:
		return &s.Remaining
	case elemCompleted:
		return &s.Completed
	case elemFailed:
		return &s.Failed
	}
	return &s.Warning
}

// encode makes the command set, elements in order behind their group length.
func (c command) encode() []byte {
	var b []byte
	uid := func(elem uint16, u study.UID) {
		if u == "" {
			return
		}
		v := string(u) + strings.Repeat("\x00", len(u)%2)
		b = appendCommandElement(b, elem, []byte(v))
	}
	number := func(elem, v uint16) {
		b = appendCommandElement(b, elem, binary.LittleEndian.AppendUint16(nil, v))
	}
	text := func(elem uint16, s string) {
		if s != "" {
			b = appendCommandElement(b, elem, []byte(s+strings.Repeat(" ", len(s)%2)))
		}
	}
	request := c.field&responseBit == 0
	requested := request && Operation(c.field).requested()
	if requested {
		uid(elemRequestedClass, c.class)
	} else {
		uid(elemAffectedClass, c.class)
	}
	number(elemField, c.field)
	switch {
	case c.field == fieldCancel || !request:
		number(elemRespondedTo, c.respondedTo)
	default:
		number(elemMessageID, c.messageID)
	}
	text(elemDestination, c.destination)
	switch Operation(c.field) {
	case CStore, CFind, CGet, CMove:
		number(elemPriority, c.priority)
	}
	if c.hasData {
		number(elemDataSetType, withDataSet)
	} else {
		number(elemDataSetType, noDataSet)
	}
	if !request {
		number(elemStatus, uint16(c.status))
	}
	if requested {
		uid(elemRequestedInst, c.instance)
	} else {
		uid(elemAffectedInst, c.instance)
	}
	switch Operation(c.field &^ responseBit) {
	case NEventReport:
		number(elemEventType, c.kind)
	case NAction:
		number(elemActionType, c.kind)
	}
	if c.counts != nil {
		c.encodeCounts(number)
	}
	if c.originator != "" {
		text(elemOriginator, c.originator)
		number(elemOriginatorID, c.originID)
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	return append(appendCommandElement(nil, elemGroupLength, length), b...)
}

// encodeCounts writes the counts of sub-operations. What remains is said only while
// something does or was canceled (PS3.7 §9.1.4.1.7).
func (c command) encodeCounts(number func(elem, v uint16)) {
	for elem := uint16(elemRemaining); elem <= elemWarning; elem++ {
		if elem == elemRemaining && c.status != Pending && c.status != Canceled {
			continue
		}
		number(elem, uint16(min(*c.counts.of(elem), 0xFFFF)))
	}
}

func appendCommandElement(b []byte, elem uint16, v []byte) []byte {
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, elem)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}

// reply makes the response to a request. UIDs that break the rules are not sent
// back.
func (c command) reply(s Status) command {
	r := command{field: c.field | responseBit, respondedTo: c.messageID, status: s, kind: c.kind}
	if _, err := study.ParseUID(string(c.class)); err == nil {
		r.class = c.class
	}
	if _, err := study.ParseUID(string(c.instance)); err == nil {
		r.instance = c.instance
	}
	return r
}

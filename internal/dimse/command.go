package dimse

import (
	"encoding/binary"
	"strings"

	"varde/study"
)

// Command fields, PS3.7 §E.1. A response has responseBit set.
const (
	fieldStore  uint16 = 0x0001
	fieldEcho   uint16 = 0x0030
	fieldCancel uint16 = 0x0FFF
	responseBit uint16 = 0x8000
)

// Command elements, PS3.7 §E.1, by their number in group 0000.
const (
	elemGroupLength    = 0x0000
	elemAffectedClass  = 0x0002
	elemRequestedClass = 0x0003
	elemField          = 0x0100
	elemMessageID      = 0x0110
	elemRespondedTo    = 0x0120
	elemPriority       = 0x0700
	elemDataSetType    = 0x0800
	elemStatus         = 0x0900
	elemAffectedInst   = 0x1000
	elemRequestedInst  = 0x1001
)

const (
	noDataSet      uint16 = 0x0101
	withDataSet    uint16 = 0x0001
	priorityMedium uint16 = 0x0000
)

// A command is a command set, as far as verification and storage go.
type command struct {
	class       study.UID // affected or requested; not checked
	instance    study.UID // affected or requested; not checked
	field       uint16
	messageID   uint16
	respondedTo uint16
	hasData     bool
	status      Status
	priority    uint16
}

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
	uid(elemAffectedClass, c.class)
	number(elemField, c.field)
	if c.field&responseBit == 0 {
		number(elemMessageID, c.messageID)
	} else {
		number(elemRespondedTo, c.respondedTo)
	}
	if c.field == fieldStore {
		number(elemPriority, c.priority)
	}
	if c.hasData {
		number(elemDataSetType, withDataSet)
	} else {
		number(elemDataSetType, noDataSet)
	}
	if c.field&responseBit != 0 {
		number(elemStatus, uint16(c.status))
	}
	uid(elemAffectedInst, c.instance)
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	return append(appendCommandElement(nil, elemGroupLength, length), b...)
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
	r := command{field: c.field | responseBit, respondedTo: c.messageID, status: s}
	if _, err := study.ParseUID(string(c.class)); err == nil {
		r.class = c.class
	}
	if _, err := study.ParseUID(string(c.instance)); err == nil {
		r.instance = c.instance
	}
	return r
}

package provision

import (
	"encoding/binary"
	"hash/crc32"
)

// headSize is the least size of an object's head (libota/src/object.c).
const headSize = 16

// appendObject appends what ota_object_write writes: a head and the content,
// padded so that another object can follow.
func (f Flash) appendObject(to, content []byte, version uint32) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	head = binary.BigEndian.AppendUint32(head, version)
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(content))
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(head))
	step := max(headSize, f.Unit)
	to = append(to, f.pad(head, step)...)
	return f.pad(append(to, content...), step)
}

package provision

import "bytes"

// Image returns an image of the flash. base is an image of the whole flash in
// which the areas are replaced; nil begins with an erased one.
func (d *Device) Image(l Layout, base []byte) ([]byte, error) {
	if err := l.Fits(base, d.firmware); err != nil {
		return nil, err
	}
	image := bytes.Clone(base)
	if base == nil {
		image = l.Flash.erased(l.size())
	}
	contents, err := d.contents(l)
	if err != nil {
		return nil, err
	}
	for _, a := range l.areas {
		content, ok := contents[a.Name]
		if !ok {
			continue
		}
		if err := a.holds(len(content)); err != nil {
			return nil, err
		}
		copy(image[a.Offset:], content)
		copy(image[a.Offset+len(content):a.end()], l.Flash.erased(a.Size-len(content)))
	}
	return image, nil
}

// contents returns what stands in each area.
func (d *Device) contents(l Layout) (map[string][]byte, error) {
	row, err := d.row(l.Flash)
	if err != nil {
		return nil, err
	}
	s := state{
		floorEpoch: d.installed.sequence.Epoch(), floorCounter: d.installed.counter,
		keysetVersion: d.KeysetVersion(), generation: d.Generation, installed: d.installed,
	}
	contents := map[string][]byte{
		AreaDevice:   row,
		AreaJournal0: l.Flash.journalPage(s, false),
		AreaJournal1: l.Flash.journalPage(s, true),
		AreaKeyset0:  l.Flash.appendObject(nil, d.keyset.Bytes(), s.keysetVersion),
		AreaKeyset1:  {},
	}
	if len(d.firmware) == 0 {
		return contents, nil
	}
	if _, ok := l.area(AreaFirmware); !ok {
		return contents, nil // it gets there by other means, and is only noted
	}
	contents[AreaFirmware] = d.firmware
	return contents, nil
}

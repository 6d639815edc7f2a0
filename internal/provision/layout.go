package provision

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names of areas.
const (
	AreaDevice   = "device"
	AreaJournal0 = "journal0"
	AreaJournal1 = "journal1"
	AreaKeyset0  = "keyset0"
	AreaKeyset1  = "keyset1"
	AreaFirmware = "firmware" // none unless it is placed
)

// required are the areas that every device has, in the order of the default
// layout.
var required = []string{AreaDevice, AreaJournal0, AreaJournal1, AreaKeyset0, AreaKeyset1}

// MaxImage bounds an image of a flash, in bytes.
const MaxImage = 256 << 20

// An Area is a part of a flash: whole pages.
type Area struct {
	Name   string
	Offset int // bytes
	Size   int // bytes
}

func (a Area) end() int { return a.Offset + a.Size }

// holds says whether so many bytes go in.
func (a Area) holds(n int) error {
	if n > a.Size {
		return fmt.Errorf("%w: area %s of %d bytes: %d are needed (--area %s=OFFSET:SIZE)", ErrFlash, a.Name, a.Size, n, a.Name)
	}
	return nil
}

// A Layout says where on a flash things lie.
type Layout struct {
	Flash Flash
	areas []Area
}

// NewLayout places each area at a page of its own, one behind the other, except
// those that places say otherwise of: NAME=OFFSET or NAME=OFFSET:SIZE, numbers as
// C writes them. An area without a size is one page.
func NewLayout(f Flash, places []string) (Layout, error) {
	if err := f.Validate(); err != nil {
		return Layout{}, err
	}
	l := Layout{Flash: f}
	for i, name := range required {
		l.areas = append(l.areas, Area{name, i * f.Page, f.Page})
	}
	for _, place := range places {
		a, err := parseArea(place, f.Page)
		if err != nil {
			return Layout{}, err
		}
		l.areas = append(slices.DeleteFunc(l.areas, func(b Area) bool { return a.Name == b.Name }), a)
	}
	slices.SortStableFunc(l.areas, func(a, b Area) int { return a.Offset - b.Offset })
	return l, l.validate()
}

func parseArea(text string, page int) (Area, error) {
	name, place, ok := strings.Cut(text, "=")
	offset, size, sized := strings.Cut(place, ":")
	if !ok || name != AreaFirmware && !slices.Contains(required, name) {
		return Area{}, fmt.Errorf("%w: area %q: want NAME=OFFSET:SIZE, NAME one of %s, %s",
			ErrFlash, text, strings.Join(required, ", "), AreaFirmware)
	}
	if !sized {
		size = strconv.Itoa(page)
	}
	at, errAt := strconv.ParseUint(offset, 0, 31)
	n, errN := strconv.ParseUint(size, 0, 31)
	if errAt != nil || errN != nil || at+n > MaxImage {
		return Area{}, fmt.Errorf("%w: area %q: want numbers, as 4096 or 0x1000, of at most %d together", ErrFlash, text, MaxImage)
	}
	return Area{name, int(at), int(n)}, nil
}

func (l Layout) validate() error {
	for i, a := range l.areas {
		if a.Size == 0 || a.Offset%l.Flash.Page != 0 || a.Size%l.Flash.Page != 0 {
			return fmt.Errorf("%w: area %s at 0x%x, 0x%x bytes: want whole pages of 0x%x", ErrFlash, a.Name, a.Offset, a.Size, l.Flash.Page)
		}
		if i > 0 && a.Offset < l.areas[i-1].end() {
			return fmt.Errorf("%w: areas %s and %s overlap", ErrFlash, l.areas[i-1].Name, a.Name)
		}
		if a.Name == AreaJournal0 || a.Name == AreaJournal1 {
			if err := l.Flash.checkJournal(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// Fits says whether the areas lie within an image of the whole flash, nil for
// none, and the firmware within its area, if it has one.
func (l Layout) Fits(base, firmware []byte) error {
	if base != nil && len(base) < l.size() {
		return fmt.Errorf("%w: the image of %d bytes ends within the areas, which need %d", ErrFlash, len(base), l.size())
	}
	if a, ok := l.area(AreaFirmware); ok {
		return a.holds(len(firmware))
	}
	return nil
}

// Areas returns the areas in the order in which they lie.
func (l Layout) Areas() []Area { return slices.Clone(l.areas) }

// area returns the area of that name.
func (l Layout) area(name string) (Area, bool) {
	i := slices.IndexFunc(l.areas, func(a Area) bool { return a.Name == name })
	if i < 0 {
		return Area{}, false
	}
	return l.areas[i], true
}

// size returns how long an image is that holds all areas.
func (l Layout) size() int { return l.areas[len(l.areas)-1].end() }

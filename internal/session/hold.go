package session

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"
)

// The program that a pod of its own begins with reads its standard input until
// that ends, and then ends too; it ends as well if nothing comes at first, as from
// a berth that was killed before it was connected. It is mounted into the pod from
// a ConfigMap, as the image may hold nothing but the application, and is machine
// code because there is no smaller program that needs nothing: no shell, no C
// library, no other image that a cluster would have to pull.
//
// As the first process of its container it takes all others along when it ends.

// connecting is how long the program waits for its first input.
const connecting = time.Minute

// machines are the processor architectures, by Kubernetes' names, that the
// program exists for, and what it is there, with the seconds that it waits.
var machines = map[string]struct {
	elf  uint16 // ELF's number of it
	code func(wait uint16) []byte
}{
	"amd64": {62, func(wait uint16) []byte {
		code := []byte{
			0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1
			0x48, 0xc1, 0xe0, 0x20, //       shl rax, 32
			0x50,             //             push rax               struct pollfd of standard input: POLLIN
			0x48, 0x89, 0xe7, //             mov rdi, rsp
			0xbe, 0x01, 0x00, 0x00, 0x00, // mov esi, 1
			0xba, 0x00, 0x00, 0x00, 0x00, // mov edx, WAIT          in milliseconds
			0xb8, 0x07, 0x00, 0x00, 0x00, // mov eax, 7             poll
			0x0f, 0x05, //                   syscall
			0x85, 0xc0, //                   test eax, eax
			0x7e, 0x15, //                   jle end                nothing came
			0x31, 0xff, //            again: xor edi, edi           standard input
			0x48, 0x8d, 0x74, 0x24, 0x80, // lea rsi, [rsp-128]
			0xba, 0x80, 0x00, 0x00, 0x00, // mov edx, 128
			0x31, 0xc0, //                   xor eax, eax           read
			0x0f, 0x05, //                   syscall
			0x48, 0x85, 0xc0, //             test rax, rax
			0x7f, 0xeb, //                   jg again               there was something
			0x31, 0xff, //              end: xor edi, edi           status 0
			0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60            exit
			0x0f, 0x05, //                   syscall
		}
		binary.LittleEndian.PutUint32(code[19:], 1000*uint32(wait))
		return code
	}},
	"arm64": {183, func(wait uint16) []byte {
		return words(
			0xd2c00025,                 // mov x5, #1 << 32
			0xa9bf7fe5,                 // stp x5, xzr, [sp, #-16]!   struct pollfd of standard input: POLLIN
			0x910003e0,                 // mov x0, sp
			0xd2800006|uint32(wait)<<5, // mov x6, #WAIT              in seconds
			0xa9bf7fe6,                 // stp x6, xzr, [sp, #-16]!   struct timespec
			0x910003e2,                 // mov x2, sp
			0xd2800021,                 // mov x1, #1
			0xd2800003,                 // mov x3, #0
			0xd2800004,                 // mov x4, #0
			0xd2800928,                 // mov x8, #73                ppoll
			0xd4000001,                 // svc #0
			0xf100001f,                 // cmp x0, #0
			0x5400010d,                 // b.le end                   nothing came
			0xaa1f03e0,                 // again: mov x0, xzr         standard input
			0xd10203e1,                 // sub x1, sp, #128
			0xb27903e2,                 // mov x2, #128
			0xb24017e8,                 // mov x8, #63                read
			0xd4000001,                 // svc #0
			0xf100001f,                 // cmp x0, #0
			0x54ffff4c,                 // b.gt again                 there was something
			0xaa1f03e0,                 // end: mov x0, xzr           status 0
			0xd2800ba8,                 // mov x8, #93                exit
			0xd4000001,                 // svc #0
		)
	}},
}

func words(instructions ...uint32) []byte {
	var code []byte
	for _, instruction := range instructions {
		code = binary.LittleEndian.AppendUint32(code, instruction)
	}
	return code
}

// holdProgram returns the program for a machine as an ELF executable, or nil
// where there is none.
func holdProgram(machine string, wait time.Duration) []byte {
	m, known := machines[machine]
	if !known {
		return nil
	}
	code := m.code(uint16(wait / time.Second))
	const (
		base        = 0x400000
		headerSize  = 64
		segmentSize = 56
		segments    = 2
		start       = headerSize + segments*segmentSize
	)
	type header struct {
		Ident                             [16]byte
		Type, Machine                     uint16
		Version                           uint32
		Entry, Segments, Sections         uint64
		Flags                             uint32
		Size, SegmentSize, SegmentCount   uint16
		SectionSize, SectionCount, String uint16
	}
	type segment struct {
		Type, Flags                                    uint32
		Offset, Address, Physical, Size, Memory, Align uint64
	}
	whole := uint64(start + len(code))
	var file bytes.Buffer
	for _, part := range []any{
		header{
			// 64 bits, little-endian, version 1
			Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1},
			Type:  2, Machine: m.elf, Version: 1, Entry: base + start, Segments: headerSize,
			Size: headerSize, SegmentSize: segmentSize, SegmentCount: segments,
		},
		segment{Type: 1 /* load */, Flags: 5 /* read, execute */, Address: base, Physical: base, Size: whole, Memory: whole, Align: 1 << 16},
		segment{Type: 0x6474e551 /* stack */, Flags: 6 /* read, write */, Align: 16},
		code,
	} {
		_ = binary.Write(&file, binary.LittleEndian, part) // a Buffer never fails
	}
	return slices.Clip(file.Bytes())
}

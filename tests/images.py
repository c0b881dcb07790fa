#!/usr/bin/env python3
"""Small disk images, right ones and damaged ones, each damaged in one place alone.

    images.py good DIRECTORY [KERNEL]     one file for each format
    images.py damaged DIRECTORY           and a line for each on stdout: its name, what is to be said of it
    images.py seeds DIRECTORY             corpora for tests/fuzz, a directory for each target
"""
import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zlib

SYSLINUX = b'DEFAULT linux\nLABEL linux\n  KERNEL /kernel\n  INITRD /initrd.img\n  APPEND quiet root=/dev/sda1\n'
GRUB = b"menuentry 'x' {\n  linux /kernel quiet root=/dev/sr0\n  initrd /initrd.img\n}\n"
# What is not to be booted is named, too: there is no /decoy.
SAVED = b"""if [ -s $prefix/grubenv ]; then
  load_env
fi
set default="${saved_entry}"
set kernel=/kernel
menuentry 'new' --id new {
  linux /decoy quiet
}
submenu 'Advanced options' --id advanced {
  menuentry 'old' --id old {
    search --no-floppy --fs-uuid --set=root 1-2
    linux ($root)$kernel quiet root=/dev/sda1
    initrd ($root)/initrd.img
  }
}
"""
ALPINE = b"""DEFAULT menu.c32
PROMPT 0
MENU TITLE Alpine/Linux Boot Menu
LABEL lts
  MENU LABEL Linux lts
  LINUX decoy
LABEL virt
  MENU DEFAULT
  LINUX kernel
  INITRD initrd.img
  APPEND quiet root=UUID=1 modules=ext4
"""
ENTRY = b'title x\nlinux /kernel\ninitrd /initrd.img\noptions quiet\noptions ro\n'
DECOY = b'linux /decoy\n'
KERNEL = b'kernel' * 100
INITRD = b'initrd' * 100


def put(data, offset, form, *values):
    struct.pack_into('<' + form, data, offset, *values)
    return data


def patched(data, *patches):
    data = bytearray(data)
    for offset, value in patches:
        data[offset:offset + len(value)] = value
    return bytes(data)


def bzimage(code=0x1000):
    data = bytearray(1024 + code)
    put(data, 0x1f1, 'BxxI6xH', 1, code // 16, 0xaa55)
    put(data, 0x202, '4sH', b'HdrS', 0x20f)
    put(data, 0x211, 'B', 1)
    put(data, 0x22c, 'IIBxHI', 0x7fffffff, 0x200000, 1, 1, 2047)
    put(data, 0x258, 'QI', 0x1000000, 0x10000)
    return bytes(data)


class Fat:
    """A FAT16 of 512-byte clusters: its parts by name, for those who damage them."""
    SECTOR, TABLE, ROOT_ENTRIES = 512, 32, 64

    def __init__(self, files, clusters=5000):
        self.table = self.SECTOR
        self.root = self.table + self.TABLE * self.SECTOR
        self.start = self.root + self.ROOT_ENTRIES * 32
        self.data = bytearray(self.start + clusters * self.SECTOR)
        self.used, self.slots, self.first = 2, {}, {}
        put(self.data, 0, '3s8sHBHBHHBHHHII', b'\xeb\x3c\x90', b'mayfly', self.SECTOR, 1, 1, 1,
            self.ROOT_ENTRIES, 0, 0xf8, self.TABLE, 32, 2, 0, len(self.data) // self.SECTOR)
        put(self.data, 510, 'H', 0xaa55)
        self.slot = self.root
        for name, content in files.items():
            self.add(name, content)

    def entry(self, name, attributes, cluster, size):
        base, _, ext = name.upper().partition('.')
        put(self.data, self.slot, '8s3sB14xHI', base.encode().ljust(8), ext.encode().ljust(3),
            attributes, cluster, size)
        self.slot += 32

    def long(self, name, short):
        total = 0
        for byte in short:
            total = ((total >> 1 | total << 7) + byte) & 0xff
        units = name.encode('utf-16le') + b'\0\0'
        units += b'\xff' * (-len(units) % 26)
        parts = [units[i:i + 26] for i in range(0, len(units), 26)]
        for number in range(len(parts), 0, -1):
            part = parts[number - 1]
            put(self.data, self.slot, 'B10sBBB12sH4s', number | (0x40 if number == len(parts) else 0),
                part[:10], 15, 0, total, part[10:22], 0, part[22:])
            self.slot += 32

    def add(self, name, content):
        count = max(1, -(-len(content) // self.SECTOR))
        first = self.used
        for cluster in range(first, first + count):
            put(self.data, self.table + 2 * cluster, 'H', cluster + 1 if cluster < first + count - 1 else 0xffff)
        at = self.start + (first - 2) * self.SECTOR
        self.data[at:at + len(content)] = content
        self.used += count
        base, _, ext = name.upper().partition('.')
        if len(base) > 8 or len(ext) > 3:
            short = base[:6].encode() + b'~1' + ext[:3].encode().ljust(3)
            self.long(name, short)
            name = f'{base[:6]}~1.{ext[:3]}'
        self.slots[name], self.first[name] = self.slot, first
        self.entry(name, 32, first, len(content))

    def directory(self, name, files):
        first = self.used
        self.used += 1
        put(self.data, self.table + 2 * first, 'H', 0xffff)
        self.first[name], self.slots[name] = first, self.slot
        self.entry(name, 16, first, 0)
        slot, self.slot = self.slot, self.start + (first - 2) * self.SECTOR
        for child, content in files.items():
            self.add(child, content)
        self.slot = slot

    def chain(self, cluster, follower):
        put(self.data, self.table + 2 * cluster, 'H', follower)
        return self


class Iso:
    """ISO 9660 with Rock Ridge; `files` has paths of one directory at most."""
    SECTOR = 2048

    def __init__(self, files, links=(), rock_ridge=True):
        self.rock_ridge, self.places = rock_ridge, {}
        directories = {''}
        for path in list(files) + [path for path, _ in links]:
            if '/' in path:
                directories.add(path.split('/')[0])
        self.sectors = [bytes(self.SECTOR)] * 18
        self.place = {name: 18 + i for i, name in enumerate(sorted(directories))}
        self.sectors += [b''] * len(directories)
        extents = {}
        for path, content in files.items():
            extents[path] = len(self.sectors), len(content)
            for at in range(0, max(1, len(content)), self.SECTOR):
                self.sectors.append(content[at:at + self.SECTOR].ljust(self.SECTOR, b'\0'))
        for name in sorted(directories):
            self.build(name, directories, extents, links)
        root = self.record(b'\0', self.place[''], self.SECTOR, 2, b'')
        primary = bytearray(self.SECTOR)
        put(primary, 0, 'B5sB', 1, b'CD001', 1)
        put(primary, 80, 'I4x', len(self.sectors))
        put(primary, 128, 'H', self.SECTOR)
        primary[156:156 + len(root)] = root
        self.sectors[16] = bytes(primary)
        self.sectors[17] = b'\xffCD001\1'.ljust(self.SECTOR, b'\0')
        self.data = bytearray(b''.join(self.sectors))

    def record(self, name, sector, size, flags, system):
        body = name + (b'' if len(name) % 2 else b'\0') + system
        body += bytes(len(body) % 2 ^ 1)
        return struct.pack('<BBI4xI4x7xBBBH2xB', 33 + len(body), 0, sector, size, flags, 0, 0, 1, len(name)) + body

    def build(self, directory, directories, extents, links):
        def system(name, extra=b''):
            if not self.rock_ridge:
                return b''
            return struct.pack('<2sBBB', b'NM', 5 + len(name), 1, 0) + name.encode() + extra

        sector = self.place[directory]
        first = struct.pack('<2sBBBBB', b'SP', 7, 1, 0xbe, 0xef, 0) if self.rock_ridge and not directory else b''
        records = [('.', self.record(b'\0', sector, self.SECTOR, 2, first)),
                   ('..', self.record(b'\1', self.place[''], self.SECTOR, 2, b''))]
        if not directory:
            for child in sorted(directories - {''}):
                records.append((child, self.record(child.upper().encode(), self.place[child], self.SECTOR, 2,
                                                   system(child))))
        for path, (place, size) in extents.items():
            parent, _, name = path.rpartition('/')
            if parent == directory:
                records.append((name, self.record(name.upper().encode() + b';1', place, size, 0, system(name))))
        for path, target in links:
            parent, _, name = path.rpartition('/')
            if parent == directory:
                parts = b''
                for part in target.split('/'):
                    parts += {'': b'\x08\0', '..': b'\x04\0'}.get(part) or bytes([0, len(part)]) + part.encode()
                link = struct.pack('<2sBBB', b'SL', 5 + len(parts), 1, 0) + parts
                records.append((name, self.record(name.upper().encode() + b';1', 0, 0, 0, system(name, link))))
        at = 0
        for name, record in records:
            self.places[f'{directory}/{name}'] = sector * self.SECTOR + at
            at += len(record)
        self.sectors[sector] = b''.join(record for _, record in records).ljust(self.SECTOR, b'\0')


def archiso(kernel):
    """As Arch Linux has it, with CONFIG, INCLUDE, "::" and a kernel of whose loader there is nothing."""
    head = b'UI vesamenu.c32\n'
    return Iso({'syslinux/syslinux.cfg': b'DEFAULT select\nLABEL select\nCOM32 whichsys.c32\nAPPEND -pxe- pxe -iso- sys\n'
                b'LABEL pxe\nCONFIG pxe.cfg\nLABEL sys\nCONFIG sys.cfg\n', 'syslinux/head.cfg': head,
                'syslinux/pxe.cfg': b'INCLUDE head.cfg\nINCLUDE pxe-linux.cfg\n',
                'syslinux/pxe-linux.cfg': b'LABEL arch_nbd\nLINUX ::/kernel\nAPPEND nbd=${pxeserver}\n',
                'syslinux/sys.cfg': b'INCLUDE head.cfg\nDEFAULT arch\nINCLUDE sys-linux.cfg\n',
                'syslinux/sys-linux.cfg': b'LABEL arch\nLINUX ::/kernel\nINITRD ::/initrd.img\nAPPEND quiet x=y\n',
                'isolinux/isolinux.cfg': b'LABEL a\nKERNEL /decoy\n', 'kernel': kernel, 'initrd.img': INITRD})


def el_torito(iso, place, catalog=b'', platform=0xef):
    """With the file at that place as the image that firmware boots."""
    data = iso.data
    data[17 * 2048:18 * 2048] = b'\0CD001\1EL TORITO SPECIFICATION'.ljust(2048, b'\0')
    put(data, 17 * 2048 + 71, 'I', len(data) // 2048)
    entry = struct.pack('<B7xI20x', 0x88, place)
    return bytes(data + (catalog or b'\1\0'.ljust(32, b'\0') + entry + struct.pack('<BBH28x', 0x91, platform, 1) + entry).ljust(2048, b'\0'))


def boot_image(kernel, **more):
    """A CD that boots by its EFI image alone."""
    image = Fat({'kernel': kernel, 'initrd.img': INITRD})
    image.directory('grub', {'grub.cfg': GRUB})
    iso = Iso({'efi.img': bytes(image.data)})
    return el_torito(iso, iso.data.index(image.data[:512]) // 2048, **more)


def tar(files, kind=tarfile.USTAR_FORMAT, **records):
    """With records, such as comment='x', each file has an extended header before its own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT if records else kind) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.pax_headers = records
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def sparse_tar(name, content):
    """GNU's old format: the pieces that are not zero, 4 of them told in the header, 21 in each block behind it."""
    pieces = []
    for at in range(0, len(content), 512):
        if any(content[at:at + 512]):
            if pieces and sum(pieces[-1]) == at:
                pieces[-1] = pieces[-1][0], pieces[-1][1] + 512
            else:
                pieces.append((at, 512))
    pieces.append((len(content), 0))
    told = [b'%011o\0%011o\0' % piece for piece in pieces]
    header = bytearray(512)
    put(header, 0, '100s24x12s20x1s100x8s', name.encode(), b'%011o\0' % sum(size for _, size in pieces), b'S', b'ustar  ')
    put(header, 386, '96sB12s', b''.join(told[:4]), len(told) > 4, b'%011o\0' % len(content))
    put(header, 148, '8s', b' ' * 8)
    put(header, 148, '8s', b'%06o\0 ' % sum(header))
    data = bytes(header)
    for at in range(4, len(told), 21):
        data += struct.pack('<504sB7x', b''.join(told[at:at + 21]), at + 21 < len(told))
    return data + b''.join(content[at:at + size] for at, size in pieces) + bytes(1024)


class Qcow2:
    """Version 3, in clusters of 4 KiB: header, L1, refcount table and block, L2 tables, data."""
    CLUSTER, FLAG, ENTRY, FEATURES = 4096, 1 << 63, 8, 0

    def __init__(self, content, packed=False):
        per_table = self.CLUSTER // self.ENTRY
        count = -(-len(content) // self.CLUSTER)
        tables = -(-count // per_table)
        self.l1, self.l2 = self.CLUSTER, 4 * self.CLUSTER
        self.start = self.l2 + tables * self.CLUSTER
        self.data = bytearray(self.start)
        self.be(0, '4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 0, 0, self.CLUSTER.bit_length() - 1, len(content), 0, tables,
                self.l1, 2 * self.CLUSTER, 1, 0, 0, self.FEATURES, 0, 0, 4, 104)
        self.be(2 * self.CLUSTER, 'Q', 3 * self.CLUSTER)
        for table in range(tables):
            self.be(self.l1 + 8 * table, 'Q', self.FLAG | self.l2 + table * self.CLUSTER)
        for cluster in range(count):
            part = content[cluster * self.CLUSTER:][:self.CLUSTER].ljust(self.CLUSTER, b'\0')
            if any(part):
                self.be(self.entry(cluster), 'Q', self.add(part, packed))

    def be(self, offset, form, *values):
        struct.pack_into('>' + form, self.data, offset, *values)
        return self

    def entry(self, cluster):
        return self.l2 + self.ENTRY * cluster

    def add(self, part, packed):
        at = len(self.data)
        if not packed:
            self.data += part
            return self.FLAG | at
        stream = zlib.compressobj(wbits=-12)
        part = stream.compress(part) + stream.flush()
        self.data += part
        return 1 << 62 | ((at + len(part) - 1) // 512 - at // 512) << 58 | at


class ExtendedQcow2(Qcow2):
    """With extended L2 entries: the second half of one says which 32nds of a cluster are there."""
    CLUSTER, ENTRY, FEATURES = 16384, 16, 1 << 4

    def __init__(self, content):
        super().__init__(content)
        for cluster in range(-(-len(content) // self.CLUSTER)):
            parts = [content[at:at + 512] for at in range(cluster * self.CLUSTER, (cluster + 1) * self.CLUSTER, 512)]
            there = sum(1 << i for i, part in enumerate(parts) if any(part))
            self.be(self.entry(cluster) + 8, 'Q', (there ^ 0xffffffff) << 32 | there)


def uki(sections):
    """`sections` is a dictionary, or a list of pairs where a name comes twice."""
    sections = list(sections.items() if isinstance(sections, dict) else sections)
    headers = 0x40 + 24 + 40 * len(sections)
    at = -(-headers // 512) * 512
    data = bytearray(put(bytearray(0x40), 0, '2s58xI', b'MZ', 0x40))
    data += struct.pack('<4sHH12xHH', b'PE\0\0', 0x8664, len(sections), 0, 0x22)
    body = b''
    for name, content in sections:
        padded = content.ljust(-(-len(content) // 512) * 512, b'\0')
        data += struct.pack('<8sIIII16x', name.encode(), len(content), 0x10000 + at, len(padded), at + len(body))
        body += padded
    return bytes(data.ljust(at, b'\0') + body)


def mbr(*parts):
    """(kind, first sector, content): in order, with what lies between them empty."""
    data = bytearray(512)
    for i, (kind, first, content) in enumerate(parts):
        data = data.ljust(first * 512, b'\0') + content
        put(data, 446 + 16 * i, '4xB3xII', kind, first, len(content) // 512)
    return bytes(put(data, 510, 'H', 0xaa55))


def gpt(first, content, entry_size=128, backup=False):
    """With `backup`, only the copy of the table at the end of the disk is right."""
    data = bytearray(mbr((0xee, 1, b''), ))
    data = data.ljust(first * 512, b'\0') + content + bytes(33 * 512)
    last = len(data) // 512 - 1
    entry = struct.pack('<16s16sQQ', b'\x28' * 16, b'\1' * 16, first, first + len(content) // 512 - 1)
    table = entry.ljust(128 * entry_size, b'\0')
    for place, other, entries in ((1, last, 2), (last, 1, last - 32)):
        header = bytearray(92)
        put(header, 0, '8sII8xQQQQ16xQIII', b'EFI PART', 0x10000, 92, place, other, 34, last - 33, entries, 128,
            entry_size, zlib.crc32(table))
        put(header, 16, 'I', zlib.crc32(header))
        data[place * 512:place * 512 + 92] = header
        data[entries * 512:entries * 512 + len(entry)] = entry
    if not backup:
        put(data, last * 512, '8s', b'')
    else:
        put(data, 1024 + 32, 'Q', 1 << 40)
    return bytes(data)


def ext4(directory, files, features='^has_journal,^resize_inode'):
    source, image = f'{directory}/ext4.files', f'{directory}/ext4.image'
    for path, content in files.items():
        full = f'{source}/{path}'
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if isinstance(content, str):
            os.symlink(content, full)
        else:
            with open(full, 'wb') as file:
                file.write(content)
    subprocess.run(['mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-O', features, '-d', source, image, '256k'],
                   check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, 'PATH': os.environ['PATH'] + ':/sbin:/usr/sbin'})
    with open(image, 'rb') as file:
        data = file.read()
    subprocess.run(['rm', '-r', source, image], check=True)
    return data


def inline_sample(directory, kernel=KERNEL):
    """What is small stands in the inodes: a configuration, a link, directories. (mke2fs loses zeros at a file's end.)"""
    return ext4(directory, {'boot/extlinux.conf': SYSLINUX, 'kernel': 'boot/' + './' * 40 + 'k', 'boot/k': kernel[:-1] + b'x',
                            'initrd.img': INITRD}, 'inline_data,^metadata_csum,^has_journal,^resize_inode')


def fat_sample(kernel=KERNEL, config=SYSLINUX):
    return Fat({'syslinux.cfg': config, 'kernel': kernel, 'initrd.img': INITRD})


def esp_sample(kernel=KERNEL):
    fat = Fat({})
    unified = uki({'.cmdline': b'quiet', '.linux': kernel, '.initrd': INITRD})
    # EFI/Linux in two steps: the second directory stands in the first.
    fat.directory('EFI', {})
    slot, fat.slot = fat.slot, fat.start + (fat.first['EFI'] - 2) * fat.SECTOR
    fat.directory('Linux', {'linuxkit-1.0.efi': unified})
    fat.slot = slot
    return fat


def iso_sample(kernel=KERNEL, **more):
    return Iso({'isolinux/isolinux.cfg': SYSLINUX, 'kernel': kernel, 'initrd.img': INITRD}, **more)


def disk_of(fat):
    return mbr((0xc, 64, bytes(fat.data)))


def samples(directory, kernel=KERNEL):
    files = {'kernel': kernel, 'initrd.img': INITRD}
    disk = disk_of(fat_sample(kernel))
    slots = Fat({})
    slots.directory('grub', {'grub.cfg': b'for s in 2 3; do set root=hd0,msdos$s; done\nmenuentry a {\n'
                             b'  linux /kernel quiet\n  initrd /initrd.img\n}\n'})
    return {
        'fat.img': bytes(fat_sample(kernel).data),
        'mbr.img': disk,
        # What is left of the file system that was there before the partitions.
        'leftover.img': patched(disk, (1024 + 56, b'\x53\xef')),
        'gpt.img': gpt(64, bytes(esp_sample(kernel).data)),
        'iso.iso': bytes(iso_sample(kernel).data),
        'plain.iso': bytes(iso_sample(kernel, rock_ridge=False).data),
        'grub.iso': bytes(Iso({'grub/grub.cfg': GRUB, **files}).data),
        'link.iso': bytes(Iso({'isolinux/isolinux.cfg': SYSLINUX, 'boot/vmlinuz': kernel, 'initrd.img': INITRD},
                              links=[('kernel', 'boot/../../boot/vmlinuz')]).data),
        'tar.tar': tar({**files, 'cmdline': b'quiet\n'}),
        'gcp.img.tar.gz': gzip.compress(tar({'disk.raw': disk})),
        'unified.efi': uki({'.linux': kernel, '.initrd': INITRD, '.cmdline': b'quiet\0'}),
        'ext4.raw': ext4(directory, {'extlinux.conf': SYSLINUX, 'kernel': '/boot/k', 'boot/k': kernel,
                                     'initrd.img': INITRD}),
        'ext3.raw': ext4(directory, {'boot/grub/grub.cfg': GRUB, **files}, '^has_journal,^resize_inode,^extent,^64bit,^metadata_csum'),
        'inline.raw': inline_sample(directory, kernel),
        'entry.raw': mbr((0x83, 8, ext4(directory, {
            'loader/entries/a.conf': ENTRY, **files}))),
        # As Fedora has it: grub only goes on to the entries.
        'bls.raw': ext4(directory, {'boot/grub2/grub.cfg': b'set default="${saved_entry}"\ninsmod blscfg\nblscfg\n',
                                    'boot/loader/entries/1-6.5.9.conf': DECOY, 'boot/loader/entries/1-6.5.10.conf': ENTRY,
                                    'boot/loader/entries/1-0-rescue.conf': DECOY, **files}),
        # Version 10 failed too often, 9 may still be tried.
        'counted.raw': ext4(directory, {'loader/entries/a-10+0-3.conf': DECOY, 'loader/entries/a-9+2-1.conf': ENTRY,
                                        'loader/entries/a-8.conf': DECOY, **files}),
        'wanted.raw': ext4(directory, {'loader/loader.conf': b'timeout 0\ndefault b-*\n', 'loader/entries/b-1.conf': ENTRY,
                                       'loader/entries/c-2.conf': DECOY, **files}),
        'saved.raw': ext4(directory, {'boot/grub/grub.cfg': SAVED, **files,
                                      'boot/grub/grubenv': b'# GRUB Environment Block\nsaved_entry=advanced>old\n####'}),
        'alpine.raw': ext4(directory, {'boot/extlinux.conf': ALPINE, 'boot/kernel': kernel, 'boot/initrd.img': INITRD}),
        'include.iso': bytes(Iso({'isolinux/isolinux.cfg': b'path isolinux\ninclude menu.cfg\ndefault vesamenu.c32\n',
                                  'isolinux/menu.cfg': b'menu hshift 4\nmenu include txt.cfg\nmenu begin dark\n'
                                  b'include dark.cfg\nmenu end\nlabel help\n\tconfig dark.cfg\n', **files,
                                  'isolinux/dark.cfg': b'label dark\ndefault dark\n\tmenu default\n\tkernel /decoy\n',
                                  'isolinux/txt.cfg': b'label install\n\tmenu default\n\tkernel /kernel\n'
                                  b'\tappend quiet vga=788 initrd=/initrd.img ---\n'}).data),
        'archiso.iso': bytes(archiso(kernel).data),
        # As Red Hat has it: the options stand in grubenv, the entry is the saved one.
        'kernelopts.raw': ext4(directory, {
            'boot/grub2/grub.cfg': b'load_env\nset default="${saved_entry}"\nblscfg\n', **files,
            'boot/grub2/grubenv': b'# GRUB Environment Block\nsaved_entry=1-6.5.9\nkernelopts=quiet ro\n###',
            'boot/loader/entries/1-6.5.9.conf': b'linux /kernel\ninitrd /initrd.img $tuned_initrd\noptions $kernelopts\n',
            'boot/loader/entries/1-6.5.10.conf': DECOY}),
        # Sorted by key, and the first has no kernel.
        'sorted.raw': ext4(directory, {'loader/entries/9.conf': DECOY, 'loader/entries/1.conf': b'sort-key 2\n' + ENTRY,
                                       'loader/entries/8.conf': b'sort-key 1\nefi /memtest.efi\n',
                                       'loader/entries/2.conf': b'sort-key 3\n' + DECOY, **files}),
        # The configuration stands on another partition than what it names.
        'search.raw': mbr((0xc, 64, bytes(Fat({'syslinux.cfg': SYSLINUX}).data)), (0x83, 6000, ext4(directory, files))),
        'boot-image.iso': boot_image(kernel),
        # As RAUC has it: the partition is named.
        'slot.raw': mbr((0xc, 64, bytes(slots.data)), (0x83, 6000, ext4(directory, {'kernel': b'old', 'initrd.img': b'old'})),
                        (0x83, 7000, ext4(directory, files))),
        'source.iso': bytes(Iso({'grub/grub.cfg': b'if [ -f $prefix/x.cfg ]; then source $prefix/x.cfg; else linux /decoy; fi\n',
                                 'grub/x.cfg': GRUB, **files}).data),
        'backup.img': gpt(64, bytes(esp_sample(kernel).data), backup=True),
        'profiles.efi': uki([('.linux', kernel), ('.initrd', INITRD), ('.cmdline', b'base'), ('.profile', b'ID=main'),
                             ('.cmdline', b'quiet'), ('.cmdline', b'second'), ('.profile', b'ID=reset'),
                             ('.cmdline', b'reset')]),
        'pax.tar': tar({**files, 'cmdline': b'quiet\n'}, comment='x'),
        'sum.img.tar.gz': gzip.compress(tar({'SHA256SUMS': b'0 disk.raw\n', 'disk.raw': disk})),
        'pax.img.tar.gz': gzip.compress(tar({'disk.raw': disk}, comment='x')),
        'sparse.img.tar.gz': gzip.compress(sparse_tar('disk.raw', disk)),
        'plain.qcow2': bytes(Qcow2(disk).data),
        'extended.qcow2': bytes(ExtendedQcow2(disk).data),
        'packed.qcow2': bytes(Qcow2(disk, packed=True).data),
    }


def save(directory, images):
    os.makedirs(directory, exist_ok=True)
    for name, data in images.items():
        with open(f'{directory}/{name}', 'wb') as file:
            file.write(data)


def damaged(directory):
    """Each with what is said of it, as an extended regular expression."""
    all_of = {}

    def add(name, data, text):
        all_of[name] = bytes(data), text

    kernel = bzimage()
    good = fat_sample(kernel)
    in_fat = 'its FAT'
    image = bytes(good.data)
    first, slots = good.first, good.slots
    at = lambda name, field: slots[name] + field
    add('fat-cut.img', image[:good.start + 700], f'{in_fat} reaches past the end')
    add('fat-table-cut.img', image[:good.table + 4], f'{in_fat} reaches past the end')
    add('fat-no-clusters.img', patched(image, (32, struct.pack('<I', 3))), f'{in_fat} is not right')
    add('fat-chain-loops.img', good.chain(first['kernel'] + 2, first['kernel']).data, f'{in_fat} is not right')
    good.chain(first['kernel'] + 2, 1)
    add('fat-chain-to-free.img', good.data, f'{in_fat} is not right')
    good.chain(first['kernel'] + 2, 0xfff0)
    add('fat-chain-outside.img', good.data, f'{in_fat} is not right')
    good.chain(first['kernel'] + 2, 0xffff)
    add('fat-chain-short.img', good.data, f'{in_fat} is not right')
    add('fat-first-outside.img', patched(image, (at('kernel', 26), b'\xf0\x7f')), f'{in_fat} is not right')
    add('fat-size-4g.img', patched(image, (at('kernel', 28), b'\xff' * 4)), "'kernel' in it is too large")
    add('fat-size-0.img', patched(image, (at('kernel', 28), bytes(4))), f'{in_fat} is not right')
    add('fat-kernel-is-directory.img', patched(image, (at('kernel', 11), b'\x10')), f'{in_fat} is not right')
    add('fat-cfg-is-huge.img', patched(image, (at('syslinux.cfg', 28), struct.pack('<I', 1 << 20))), 'is not right|too large')
    loop = Fat({})
    loop.directory('EFI', {})
    loop.chain(loop.first['EFI'], loop.first['EFI'])
    put(loop.data, loop.start, '512s', (b'\xe5' + bytes(31)) * 16)
    add('fat-directory-loops.img', loop.data, f'{in_fat} is not right')
    up = Fat({'syslinux.cfg': SYSLINUX.replace(b'/kernel', b'/../../../etc/passwd')})
    add('fat-path-climbs.img', up.data, "names '../../../etc/passwd', which is not there")
    add('cfg-empty.img', Fat({'syslinux.cfg': b''}).data, "'syslinux.cfg' in it names no kernel")
    add('cfg-no-kernel.img', fat_sample(kernel, b'DEFAULT x\nLABEL x\nAPPEND y\n').data, 'names no kernel')
    add('cfg-module.img', fat_sample(kernel, b'DEFAULT menu.c32\nLABEL x\nKERNEL chain.c32\n').data, 'names no kernel')
    add('cfg-missing-kernel.img', Fat({'syslinux.cfg': SYSLINUX}).data, "names 'kernel', which is not there")
    add('cfg-missing-initrd.img', Fat({'syslinux.cfg': SYSLINUX, 'kernel': kernel}).data, "names 'initrd.img', which is not there")
    add('cfg-includes-itself.img', Fat({'syslinux.cfg': b'INCLUDE syslinux.cfg\n' * 3}).data, 'names no kernel')
    add('cfg-path-long.img', fat_sample(kernel, b'DEFAULT x\nLABEL x\nKERNEL /' + b'a' * 5000).data, 'too large')
    add('cfg-initrds-9.img', fat_sample(kernel, b'DEFAULT x\nLABEL x\nKERNEL /kernel\nINITRD ' + b'/initrd.img,' * 9).data, 'too large')
    add('cfg-append-long.img', fat_sample(kernel, b'DEFAULT x\nLABEL x\nKERNEL /kernel\nAPPEND ' + b'a' * 70000).data, 'too large')
    add('cfg-binary.img', fat_sample(kernel, bytes(range(256)) * 20).data, 'names no kernel')
    grub = lambda text: Iso({'grub/grub.cfg': text, 'kernel': kernel}).data
    add('cfg-grub-no-kernel.iso', grub(b'menuentry x {\n chainloader /EFI/x\n}\n'), "'grub/grub.cfg' in it names no kernel")
    add('cfg-grub-open.iso', grub(b"menuentry 'x {\n linux /kernel"), 'names no kernel')
    add('cfg-grub-grows.iso', grub(b'set a=x$a$a$a$a$a$a$a$a\n' * 5000 + b'linux /kernel $a\n'), 'is too large')
    add('cfg-grub-nested.iso', grub(b'submenu x {\n' * 9000 + b'linux /kernel\n' + b'}\n' * 9000), 'names no kernel|too large')
    add('cfg-grub-ifs.iso', grub(b'if x; then\n' * 9000 + b'linux /kernel\n'), 'is too large')
    add('cfg-grub-environment-huge.iso', Iso({'grub/grub.cfg': b'load_env\nlinux /kernel\n', 'grub/grubenv': b'a' * 300000}).data, 'is too large')
    add('cfg-grub-sources-itself.iso', Iso({'grub/grub.cfg': b'source /grub/grub.cfg\n', 'kernel': kernel}).data, 'is too large')
    add('cfg-grub-never-ends.iso', Iso({'grub/grub.cfg': (b'for a in' + b' x' * 800 + b'; do\n') * 12 + b'linux /kernel x\n'
                                        + b'done\n' * 12}).data, 'is too large')
    add('kernel-is-text.img', fat_sample(b'text' * 300).data, ":kernel' is neither an ELF nor a bzImage")
    add('kernel-is-cut.img', fat_sample(kernel[:1500]).data, ":kernel' is a truncated Linux bzImage")

    iso = iso_sample(kernel)
    image, places, in_iso = bytes(iso.data), iso.places, 'its ISO 9660'
    sector, root = Iso.SECTOR, iso.place['']
    add('iso-boot-image-outside.iso', el_torito(Iso({'a': b''}), 1 << 31), 'without a boot configuration')
    add('iso-boot-image-bios.iso', boot_image(kernel, platform=0), 'without a boot configuration')
    add('iso-boot-images.iso', boot_image(kernel, catalog=struct.pack('<BB30x', 1, 0xef) + struct.pack('<B7xI20x', 0x88, 3) * 63),
        'without a boot configuration')
    add('iso-cut.iso', image[:root * sector + 100], f'{in_iso} reaches past the end')
    add('iso-kernel-cut.iso', image[:-2 * sector], f'{in_iso} reaches past the end')
    add('iso-no-primary.iso', patched(image, (16 * sector, b'\2')), f'{in_iso} is not right')
    add('iso-descriptors-end.iso', patched(image, (17 * sector + 1, b'XX'), (16 * sector, b'\0')), f'{in_iso} is not right')
    add('iso-block-size.iso', patched(image, (16 * sector + 128, b'\0\2')), f'{in_iso} is not right')
    add('iso-root-outside.iso', patched(image, (16 * sector + 158, b'\xff\xff\xff\x7f')), f'{in_iso} reaches past the end')
    add('iso-root-huge.iso', patched(image, (16 * sector + 166, b'\xff' * 4)), 'ISO 9660')
    add('iso-record-short.iso', patched(image, (places['/kernel'], b'\5')), f'{in_iso} is not right')
    add('iso-record-long.iso', patched(image, (places['/kernel'], b'\xff')), 'which is not there|is not right')
    add('iso-name-long.iso', patched(image, (places['/kernel'] + 32, b'\xff')), f'{in_iso} is not right')
    add('iso-kernel-outside.iso', patched(image, (places['/kernel'] + 2, b'\xff\xff\xff\xff')), f'{in_iso} reaches past the end')
    add('iso-kernel-huge.iso', patched(image, (places['/kernel'] + 10, b'\xff\xff\xff\xff')), 'too large')
    add('iso-kernel-multi-extent.iso', patched(image, (places['/kernel'] + 25, b'\x80')), 'ISO 9660 is not right')
    add('iso-directory-loops.iso', patched(image, (places['/isolinux'] + 2, struct.pack('<I', root))),
        'without a boot configuration')
    add('iso-field-short.iso', patched(image, (places['/isolinux'] + 33 + 9 + 2, b'\1')), 'without a boot configuration')
    add('iso-path-climbs.iso', Iso({'isolinux/isolinux.cfg': SYSLINUX.replace(b'/kernel', b'/../../../../etc/passwd')}).data,
        'which is not there')
    for name, target in (('itself', 'kernel'), ('climbs', '../../../../../etc/passwd'), ('nowhere', '/gone')):
        links = [('kernel', target)]
        add(f'iso-link-{name}.iso', Iso({'isolinux/isolinux.cfg': SYSLINUX, 'initrd.img': INITRD}, links=links).data,
            'lead nowhere|which is not there')
    add('iso-links-circle.iso', Iso({'isolinux/isolinux.cfg': SYSLINUX, 'initrd.img': INITRD},
                                    links=[('kernel', 'a'), ('a', 'b'), ('b', 'kernel')]).data, 'lead nowhere')
    add('iso-continues-for-ever.iso', patched(image, (places['/kernel'] + 33 + 9, struct.pack(
        '<2sBBI4xI4xI4x', b'CE', 28, 1, root, places['/kernel'] % sector + 42, 28))), 'ISO 9660|not there')

    unified = {'.cmdline': b'quiet', '.linux': kernel, '.initrd': INITRD}
    image = uki(unified)
    table, in_uki = 0x40 + 24, 'its EFI program'
    add('uki-cut.efi', image[:-600], f'{in_uki} reaches past the end')
    add('uki-section-outside.efi', patched(image, (table + 40 + 20, b'\xff\xff\xff\x7f')), f'{in_uki} reaches past the end')
    add('uki-section-wraps.efi', patched(image, (table + 40 + 8, b'\xff' * 4 + b'\0\0\0\0' + b'\xff' * 4)), f'{in_uki} reaches past the end')
    add('uki-sections-1000.efi', patched(image, (0x46, b'\xe8\3')), f'{in_uki} is not right')
    add('uki-sections-cut.efi', patched(image[:table + 41], (0x46, b'\3')), f'{in_uki} reaches past the end')
    add('uki-header-outside.efi', patched(image, (0x3c, b'\xff\xff\xff\xff')), 'is an EFI program')
    add('uki-no-kernel.efi', uki({'.cmdline': b'quiet', '.initrd': INITRD}), 'is an EFI program')
    add('uki-kernel-is-text.efi', uki({'.linux': b'text' * 300}), ":.linux' is neither")
    add('uki-cmdline-long.efi', uki({**unified, '.cmdline': b'a' * 70000}), 'too large')

    image = image_gpt = gpt(64, bytes(esp_sample(kernel).data))
    add('gpt-cut.img', image[:1024 + 40], 'is a bootable disk')
    add('gpt-entries-outside.img', patched(image, (512 + 72, b'\xff' * 8)), 'is a bootable disk')
    add('gpt-entry-size-0.img', patched(image, (512 + 84, b'\0\0\0\0')), 'is a bootable disk')
    add('gpt-entry-wraps.img', patched(image, (1024 + 32, b'\xff' * 16)), 'is a bootable disk')
    add('gpt-entry-backwards.img', patched(image, (1024 + 40, bytes(8))), 'is a bootable disk')
    image = disk_of(fat_sample(kernel))
    add('mbr-outside.img', patched(image, (446 + 8, b'\xff\xff\xff\x7f')), 'is a bootable disk')
    add('mbr-past-the-end.img', patched(image, (446 + 12, b'\xff\xff\xff\x7f')), 'is a bootable disk')
    add('mbr-logical-loops.img', patched(mbr((5, 0, bytes(512))), (446 + 4, b'\5'), (446 + 8, bytes(4)),
                                         (446 + 16 + 4, b'\5')), 'is a bootable disk')
    add('gpt-gone.img', patched(image_gpt, (512, bytes(8))), 'is a bootable disk')
    large = bytearray(image_gpt[:512].ljust(4096, b'\0') + image_gpt[512:])
    add('gpt-large-sectors.img', large, 'for sectors of 4096 bytes')
    add('mbr-cut.img', image[:480], 'is neither')
    for name, at, magic in (('xfs', 0, b'XFSB'), ('btrfs', 0x10040, b'_BHRfS_M'), ('lvm', 0x218, b'LVM2 001')):
        add(f'mbr-{name}.img', patched(mbr((0x83, 64, bytes(1 << 17))), (64 * 512 + at, magic)),
            'no boot configuration, unless in (XFS|Btrfs|LVM), which')
    add('mbr-nothing-known.img', mbr((0x83, 64, bytes(65536))), 'is a bootable disk')

    add('tar-cut.tar', tar({'kernel': kernel})[:1000], 'its tar reaches past the end')
    add('tar-size.tar', patched(tar({'kernel': kernel}), (124, b'77777777777')), 'tar')
    add('tar-no-kernel.tar', tar({'cmdline': b'quiet'}), "an archive without a 'kernel'.*unpack it")
    add('tar-second-header.tar', patched(tar({'a': b'a', 'kernel': kernel}), (1024, b'X')), 'its tar is not right')
    add('tar-cmdline-long.tar', tar({'kernel': kernel, 'cmdline': b'a' * 70000}), 'too large')

    disk = tar({'disk.raw': bytes(fat_sample(kernel).data)})
    huge = bytearray(tar({'disk.raw': b'x'}))
    put(huge, 124, '12s', b'77777777777\0')
    put(huge, 148, '8s', b' ' * 8)
    put(huge, 148, '8s', b'%06o\0 ' % sum(huge[:512]))
    add('disk-cut.img.tar.gz', gzip.compress(disk)[:len(gzip.compress(disk)) // 2], 'is damaged or truncated')
    add('disk-archive-cut.img.tar.gz', gzip.compress(disk[:9000]), 'is damaged or truncated')
    add('disk-garbage.img.tar.gz', patched(gzip.compress(disk), (600, b'\xff' * 64)), 'is damaged or truncated')
    add('disk-8g.img.tar.gz', gzip.compress(huge), 'more than 4 GiB')
    add('disk-is-no-archive.img.tar.gz', gzip.compress(b'text' * 1000), 'is gzip-compressed: gunzip')
    add('disk-is-text.img.tar.gz', gzip.compress(tar({'disk.raw': b'text' * 20000})), 'is damaged|neither')
    add('disk-no-file.img.tar.gz', gzip.compress(tar({})), 'is gzip-compressed: gunzip')

    def sparse(*patches):
        image = bytearray(patched(sparse_tar('disk.raw', disk_of(fat_sample(kernel))), *patches))
        put(image, 148, '8s', b' ' * 8)
        put(image, 148, '8s', b'%06o\0 ' % sum(image[:512]))
        return gzip.compress(image)

    header = tarfile.TarInfo('x')
    header.type, header.size = tarfile.XHDTYPE, 3 << 30
    directory_header = tarfile.TarInfo('d')
    directory_header.type = tarfile.DIRTYPE
    add('disk-sparse-outside.img.tar.gz', sparse((386, b'77777777777')), 'is damaged or truncated')
    add('disk-sparse-small.img.tar.gz', sparse((483, b'00000001000')), 'is damaged or truncated')
    add('disk-sparse-8g.img.tar.gz', sparse((483, b'77777777777')), 'more than 4 GiB')
    add('disk-sparse-endless.img.tar.gz', gzip.compress(
        gzip.decompress(sparse((482, b'\1')))[:512] + (b'0' * 504 + b'\1' + bytes(7)) * 9000), 'in a way that is not known')
    add('disk-sparse-cut.img.tar.gz', gzip.compress(gzip.decompress(sparse())[:1100]), 'is damaged or truncated')
    add('disk-sparse-newer.img.tar.gz', gzip.compress(tar({'disk.raw': b'x'}, **{'GNU.sparse.major': '1'})),
        'in a way that is not known')
    add('disk-header-3g.img.tar.gz', gzip.compress(header.tobuf() + bytes(1 << 20)), 'is gzip-compressed: gunzip')
    add('disk-headers.img.tar.gz', gzip.compress(directory_header.tobuf() * 100000), 'is gzip-compressed: gunzip')

    files = {'extlinux.conf': SYSLINUX, 'kernel': kernel, 'initrd.img': INITRD}
    image, in_ext = ext4(directory, files, '^has_journal,^resize_inode,^metadata_csum,^64bit'), 'its ext4'
    add('ext4-cut.raw', image[:100 << 10], f'{in_ext} reaches past the end')
    add('ext4-blocks.raw', patched(image, (1028, b'\xff\xff\xff\x7f')), f'{in_ext} reaches past the end')
    add('ext4-block-size.raw', patched(image, (1024 + 24, b'\x20')), f'{in_ext} is not right')
    add('ext4-group-size-0.raw', patched(image, (1024 + 32, bytes(4))), f'{in_ext} is not right')
    add('ext4-feature.raw', patched(image, (1024 + 99, b'\x80')), 'features that are not known here')
    add('ext4-descriptors.raw', patched(image, (2048, b'\xff' * 64)), 'ext4')
    add('ext4-inodes-0.raw', patched(image, (1024 + 40, bytes(4))), f'{in_ext} is not right')
    image = inline_sample(directory, kernel)
    entry = image.index(b'\4\7', image.index(b'\0\0\2\xea'))
    add('ext4-inline-outside.raw', image.replace(b'\4\7' + image[entry + 2:entry + 4], b'\4\7\xff\xff'), 'its ext4 is not right')
    add('ext4-inline-gone.raw', image.replace(b'\0\0\2\xea', bytes(4)), 'its ext4 is not right')
    add('ext4-links-circle.raw', ext4(directory, {'extlinux.conf': SYSLINUX, 'kernel': 'a', 'a': '/b', 'b': 'kernel'}),
        'lead nowhere')
    add('entry-no-kernel.raw', ext4(directory, {'loader/entries/a.conf': b'title x\n', 'kernel': kernel}), 'names no kernel')
    add('entry-climbs.raw', ext4(directory, {'loader/entries/a.conf': b'linux /../../../etc/passwd\n'}), 'which is not there')
    add('ext4-link-climbs.raw', ext4(directory, {'extlinux.conf': SYSLINUX, 'kernel': '../../../../etc/passwd'}),
        'which is not there')
    make = lambda: Qcow2(disk_of(fat_sample(kernel)))
    good = make()
    image, part = bytes(good.data), struct.pack
    kernel_at = next(at for at in range(len(image) - 4) if image[at:at + 4] == b'HdrS') // Qcow2.CLUSTER * Qcow2.CLUSTER
    cluster = next(at for at in range(good.l2, good.start, 8) if image[at:at + 8] == part('>Q', good.FLAG | kernel_at))
    in_qcow2 = 'is a damaged qcow2: its'
    add('qcow2-cut.qcow2', image[:4100], f'{in_qcow2} L1 table is not in the file')
    add('qcow2-header-cut.qcow2', image[:50], in_qcow2)
    add('qcow2-is-text.qcow2', b'text' * 300, 'is no qcow2')
    add('qcow2-data-cut.qcow2', image[:kernel_at], 'not all of it can be read')
    add('qcow2-version.qcow2', patched(image, (4, part('>I', 9))), 'of a version that Mayfly does not know')
    add('qcow2-cluster-bits.qcow2', patched(image, (20, part('>I', 60))), f'{in_qcow2} size of clusters')
    add('qcow2-size-0.qcow2', patched(image, (24, bytes(8))), f'{in_qcow2} size')
    add('qcow2-size-4e.qcow2', patched(image, (24, part('>Q', 1 << 62))), f'{in_qcow2} L1 table is too small')
    add('qcow2-l1-huge.qcow2', patched(image, (24, part('>Q', 1 << 53)), (36, part('>I', 1 << 31))), f'{in_qcow2} L1 table')
    add('qcow2-l1-outside.qcow2', patched(image, (40, part('>Q', 1 << 40))), f'{in_qcow2} L1 table is not in the file')
    add('qcow2-l1-wraps.qcow2', patched(image, (40, part('>Q', (1 << 64) - 4096))), f'{in_qcow2} L1 table is not in the file')
    add('qcow2-l1-is-header.qcow2', patched(image, (40, bytes(8))), f'{in_qcow2} L1 table')
    for name, value in (('outside', 1 << 40), ('odd', good.l2 + 512), ('is-l1', good.l1), ('is-header', 1 << 63 | 1 << 9)):
        add(f'qcow2-l2-{name}.qcow2', patched(image, (good.l1, part('>Q', good.FLAG | value))), 'damaged|cannot be read')
    for name, value in (('outside', 1 << 50), ('odd', kernel_at + 512), ('is-l1', good.l1), ('reserved', kernel_at | 2),
                        ('packed-outside', 1 << 62 | 1 << 50), ('packed-is-text', 1 << 62 | kernel_at)):
        add(f'qcow2-cluster-{name}.qcow2', patched(image, (cluster, part('>Q', value))), 'damaged|cannot (be )?read|truncated')
    add('qcow2-l2-is-itself.qcow2', patched(image, (good.l2, part('>Q', good.FLAG | good.l2))), 'known here|damaged')
    add('qcow2-encrypted.qcow2', patched(image, (32, part('>I', 2))), 'is encrypted')
    add('qcow2-data-file.qcow2', patched(image, (72, part('>Q', 4))), 'keeps its data in another file')
    add('qcow2-extended-small.qcow2', patched(image, (72, part('>Q', 16))), f'{in_qcow2} size of clusters')
    extended = ExtendedQcow2(disk_of(fat_sample(kernel)))
    add('qcow2-extended-both.qcow2', patched(extended.data, (extended.l2 + 8, b'\xff' * 8)), 'damaged|cannot be read')
    add('qcow2-extended-nothing.qcow2', patched(extended.data, (extended.l2, bytes(8))), 'damaged|cannot be read')
    add('qcow2-unknown.qcow2', patched(image, (72, part('>Q', 1 << 40))), 'needs features')
    add('qcow2-refcounts.qcow2', patched(image, (96, part('>I', 9))), f'{in_qcow2} header')
    add('qcow2-backing.qcow2', patched(image, (8, part('>QI', 200, 11)), (200, b'/etc/passwd')), "is based on '/etc/passwd'")
    add('qcow2-backing-outside.qcow2', patched(image, (8, part('>QI', 1 << 40, 11))), 'the name of its backing file')
    bomb = Qcow2(disk_of(fat_sample(kernel)))
    bomb.be(cluster, 'Q', bomb.add(bytes(1 << 20), True))
    add('qcow2-bomb.qcow2', bomb.data, 'known here|damaged|cannot (be )?read|neither')

    save(directory, {name: data for name, (data, _) in all_of.items()})
    for name, (_, text) in all_of.items():
        print(f'{name}\t{text}')


def seeds(directory):
    small = {'syslinux': b'\0' + SYSLINUX, 'grub': b'\1' + GRUB, 'entry': b'\2linux /a\ninitrd /b\noptions c\n',
             'script': b'\1function f { linux $1; return; }\nfor a in b c; do if [ -f $a ]; then . $a; fi; done\n'
             b'load_env -f e\nblscfg\nif search --set=d -f /x; then f ($d)/k; fi\nmenuentry m --id=n { configfile c }\n',
             'saved': b'\1' + SAVED, 'alpine': b'\0' + ALPINE,
             'menu': b'\0include a\nui menu.c32\nappend x\nlabel a\nmenu default\nlinux b initrd=c\nappend -\n'}
    os.makedirs(directory, exist_ok=True)
    all_of = samples(directory)
    save(f'{directory}/menu_fuzz', small)
    save(f'{directory}/find_fuzz', all_of)
    for target, names in (('fat', ['fat.img']), ('archive', ['tar.tar', 'pax.tar']), ('iso9660', ['iso.iso', 'plain.iso', 'link.iso']),
                          ('tar', ['tar.tar']), ('ext4', ['ext4.raw', 'ext3.raw', 'inline.raw'])):
        save(f'{directory}/{target}_fuzz', {name: all_of[name] for name in names})
    save(f'{directory}/archive_fuzz', {'sparse.tar': sparse_tar('disk.raw', (b'x' * 512 + bytes(512)) * 40)})
    lies = Qcow2(disk_of(fat_sample()))
    lies.be(lies.l2, 'Q', lies.FLAG | lies.l2).be(lies.l2 + 8, 'Q', 1 << 62 | 0xffff)
    save(f'{directory}/find_fuzz', {'lies.qcow2': bytes(lies.data)})


if __name__ == '__main__':
    if sys.argv[1] == 'seeds':
        seeds(sys.argv[2])
    elif sys.argv[1] == 'good':
        with open(sys.argv[3], 'rb') if len(sys.argv) > 3 else io.BytesIO(bzimage()) as file:
            save(sys.argv[2], samples(sys.argv[2], file.read()))
    elif sys.argv[1] == 'damaged':
        damaged(sys.argv[2])
    else:
        sys.exit(__doc__)

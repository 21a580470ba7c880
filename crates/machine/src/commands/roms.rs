//! `info roms`: what firmware finds in memory before it runs.

use crate::model::board::Family;
use crate::Machine;

/// The page: firmware by board, and tables of ACPI.
pub(super) fn roms_page(m: &Machine) -> String {
    let mut page = String::new();
    let has_acpi = m.str_property(m.machine_object, "acpi") != "off";
    let helper = "fw=genroms/kvmvapic.bin size=0x002400 name=\"kvmvapic.bin\"\n";
    let tables = "/rom@etc/acpi/tables size=0x200000 name=\"etc/acpi/tables\"\n\
                  /rom@etc/table-loader size=0x010000 name=\"etc/table-loader\"\n\
                  /rom@etc/acpi/rsdp size=0x001000 name=\"etc/acpi/rsdp\"\n";
    match m.class.family {
        Family::Empty => return page,
        Family::I440fx | Family::Q35 => {
            page += helper;
            page += "addr=00000000fffc0000 size=0x040000 mem=rom name=\"bios-256k.bin\"\n";
        }
        Family::Isa => {
            for (class, file, size) in [
                ("isa-cirrus-vga", "vgabios-cirrus.bin", 0x9a00),
                ("isa-vga", "vgabios.bin", 0x9a00),
            ] {
                if m.has_display_of(class) {
                    page += &format!("fw=vgaroms/{file} size={size:#08x} name=\"{file}\"\n");
                }
            }
            page += "addr=00000000fffe0000 size=0x020000 mem=ram name=\"bios.bin\"\n";
        }
        Family::Microvm => {
            page += "addr=00000000fffe0000 size=0x020000 mem=ram name=\"bios-microvm.bin\"\n";
        }
    }
    if has_acpi && m.class.family != Family::Isa {
        page += tables;
    }
    page
}

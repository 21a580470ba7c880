//! The state of a processor: as a reset leaves it, since none executes anything.

use super::current_cpu::current_cpu;
use super::hmp::Cx;
use crate::model::cpu::CpuInfo;
use crate::Machine;
use qmonitor::monitor::hmp::HmpArgs;

/// `info registers`
pub(super) fn hmp_info_registers(hmp: Cx, args: &HmpArgs) {
    let cpus = hmp.rt.state.cpus();
    let m = &hmp.rt.state;
    if args.flag("all") {
        let all: Vec<String> = cpus
            .iter()
            .map(|cpu| format!("\nCPU#{}\n{}", cpu.index, registers(m, cpu)))
            .collect();
        return hmp.print(all.concat());
    }
    let wanted = match args.try_int("vcpu") {
        Some(vcpu) => usize::try_from(vcpu).ok(),
        None => current_cpu(hmp),
    };
    let cpu = cpus.iter().find(|cpu| Some(cpu.index) == wanted);
    let text = match (cpu, args.try_int("vcpu")) {
        (Some(cpu), _) => format!("\nCPU#{}\n{}", cpu.index, registers(&hmp.rt.state, cpu)),
        (None, Some(vcpu)) => format!("CPU#{vcpu} not available\n"),
        (None, None) => "No CPU available\n".to_owned(),
    };
    hmp.print(text);
}

/// Family, model and stepping as the processor tells them.
fn signature(family: i64, model: i64, stepping: i64) -> i64 {
    let family = (family.min(15) << 8) | ((family - 15).max(0) << 20);
    family | ((model & 0xf) << 4) | ((model >> 4) << 16) | stepping
}

fn registers(m: &Machine, cpu: &CpuInfo) -> String {
    let number = |name| m.int_property(cpu.id, name);
    let edx = signature(number("family"), number("model"), number("stepping"));
    // All but the first wait to be started.
    let halted = u8::from(cpu.index != 0);
    let segment = |name: &str, selector: u16, base: u32, flags: u32| {
        format!("{name:<3}={selector:04x} {base:08x} 0000ffff {flags:08x}\n")
    };
    let mut text = format!(
        "EAX=00000000 EBX=00000000 ECX=00000000 EDX={edx:08x}\n\
         ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000\n\
         EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT={halted}\n"
    );
    text += &segment("ES", 0, 0, 0x9300);
    text += &segment("CS", 0xf000, 0xffff_0000, 0x9b00);
    for name in ["SS", "DS", "FS", "GS"] {
        text += &segment(name, 0, 0, 0x9300);
    }
    text += &segment("LDT", 0, 0, 0x8200);
    text += &segment("TR", 0, 0, 0x8b00);
    for name in ["GDT", "IDT"] {
        text += &format!("{name}=     00000000 0000ffff\n");
    }
    text += "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n";
    let zero = "0000000000000000";
    for n in 0..4 {
        text += &format!("DR{n}={zero} ");
    }
    text += &format!("\nDR6=00000000ffff0ff0 DR7=0000000000000400\nEFER={zero}\n");
    text += "FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80\n";
    for n in [0, 2, 4, 6] {
        text += &format!("FPR{n}={zero} 0000 FPR{}={zero} 0000\n", n + 1);
    }
    for n in [0, 2, 4, 6] {
        text += &format!("XMM{n:02}={zero} {zero} XMM{:02}={zero} {zero}\n", n + 1);
    }
    text
}

/// `info lapic`
pub(super) fn hmp_info_lapic(hmp: Cx, args: &HmpArgs) {
    let wanted = match args.try_int("apic-id") {
        Some(id) => usize::try_from(id).ok(),
        None => current_cpu(hmp),
    };
    let mut cpus = hmp.rt.state.cpus().into_iter();
    let Some(cpu) = cpus.find(|cpu| Some(cpu.index) == wanted) else {
        return hmp.print("No CPU available\n");
    };
    let mut text = format!("dumping local APIC state for CPU {} \n\n", cpu.index);
    for name in ["LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR", "LVTT"] {
        let mode = if name == "LVTT" { "one-shot" } else { "" };
        text +=
            &format!("{name}\t 0x00010000 active-hi edge  masked {mode:>16}     Fixed  (vec 0)\n");
    }
    text += "Timer\t DCR=0x0 (divide by 2) initial_count = 0 current_count = 0\n\
             SPIV\t 0x000000ff APIC disabled, focus=off, spurious vec 255\n\
             ICR\t 0x00000000 physical edge de-assert no-shorthand\n\
             ICR2\t 0x00000000 cpu 0 (APIC ID)\n\
             ESR\t 0x00000000\nISR\t (none)\nIRR\t (none)\n\n\
             APR 0x00 TPR 0x00 DFR 0x0f LDR 0x00 PPR 0x00\n";
    hmp.print(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_put_the_upper_parts_elsewhere() {
        for (numbers, expected) in [
            ((15, 107, 1), 0x60fb1),
            ((6, 26, 3), 0x106a3),
            ((23, 1, 2), 0x80_0f12),
        ] {
            assert_eq!(signature(numbers.0, numbers.1, numbers.2), expected);
        }
    }
}

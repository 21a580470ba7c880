//! The events, each a static of the room that takes the step.
#![allow(non_upper_case_globals)]

use super::event::{Room, TraceEvent};

macro_rules! declare {
    ($($room:ident $name:ident $about:literal;)*) => {
        $(
            #[doc = $about]
            pub static $name: TraceEvent =
                TraceEvent::new(stringify!($name), Room::$room, $about);
        )*
        /// All events, in the order in which a request meets them.
        pub static ALL: &[&TraceEvent] = &[$(&$name),*];
    };
}

declare! {
    Monitor monitor_parse "An option became a chardev and a monitor.";
    Chardev chardev_new "A chardev was made.";
    Chardev chardev_finalize "A chardev was taken down.";
    Chardev socket_listen "A listening socket was made.";
    Chardev socket_connect "A connection was asked for.";
    Loop main_loop_wait "A turn of the main loop begins.";
    Loop os_host_main_loop_wait "The main loop waits, or only looks what is ready.";
    Loop os_host_main_loop_wait_done "The wait is over.";
    Loop watch_add "The main loop began to watch a descriptor.";
    Loop watch_remove "The main loop stopped watching a descriptor.";
    Loop watch_gate "A watch's gate has opened or closed; while it is closed the descriptor is not polled.";
    Loop watch_dispatch "A watched descriptor is ready, its handler runs.";
    Loop timer_mod "A timer was armed.";
    Loop timer_del "A timer was disarmed before it was due.";
    Loop timer_dispatch "A timer is due, its handler runs.";
    Loop bh_schedule "A bottom half was scheduled, and by what.";
    Loop bh_dispatch "A bottom half runs.";
    Loop dispatch_done "A handler that the main loop called has returned.";
    Chardev tcp_chr_accept "A client's connection was accepted.";
    Chardev tcp_chr_new_client "A connection became the chardev's; listening ends.";
    Chardev tcp_chr_connect "The chardev is open; its handler is now tcp_chr_read.";
    Chardev tcp_chr_read "Bytes arrived on a socket.";
    Chardev tcp_chr_disconnect "The connection ended.";
    Chardev chr_read "Bytes arrived on another backend.";
    Monitor monitor_qmp_event "A QMP monitor heard of its chardev.";
    Monitor monitor_qmp_read "A QMP monitor was given bytes.";
    Monitor handle_qmp_command "A message is complete.";
    Monitor monitor_qmp_cmd_in_band "A request was queued.";
    Monitor monitor_qmp_cmd_out_of_band "A request is carried out at once.";
    Monitor monitor_suspend "A monitor takes no more input.";
    Monitor monitor_resume "A monitor takes input again.";
    Monitor monitor_qmp_bh_dispatcher "The dispatcher takes up a request.";
    Qapi qmp_dispatch "A request is looked at.";
    Qapi do_qmp_dispatch "The command was found; its function is called.";
    Command qmp_enter "The arguments were read, the command's own function is called.";
    Qapi qmp_dispatch_done "The command's function returned.";
    Monitor monitor_qmp_respond "A greeting or reply was put into the output buffer.";
    Monitor monitor_qapi_event_emit "An event goes out.";
    Monitor monitor_qapi_event_queue "An event is held back by its rate limit.";
    Monitor monitor_flush "A monitor's output is handed to its chardev.";
    Monitor monitor_flush_done "The chardev has taken a monitor's output, or a part of it.";
    Chardev chr_write "A backend is given bytes to write, or refused some.";
    Chardev tcp_chr_write "Bytes were written to a socket.";
    Chardev tcp_chr_tls_authz "An authorization is asked whether a TLS peer may come in.";
    Monitor monitor_event "A human monitor heard of its chardev.";
    Monitor monitor_read "A human monitor was given bytes.";
    Monitor handle_hmp_command "A line was typed at a human monitor.";
    Command hmp_command "An HMP command's function is called.";
    Machine runstate_set "The machine's state changed.";
    Machine qemu_system_shutdown_request "Someone asked the machine to end.";
    Machine system_signal "A signal asked the program to end.";
}

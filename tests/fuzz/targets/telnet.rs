//! Telnet's commands in input: cuts make no difference, and nothing is made up.
//!
//! Input: a byte for the cuts, the stream.

use qmonitor::chardev::telnet::TelnetDecoder;

use super::pieces;

pub fn telnet(data: &[u8]) {
    let [seed, input @ ..] = data else {
        return;
    };
    for tn3270 in [false, true] {
        let whole = decode(tn3270, &[input]);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(tn3270, &single), whole);
        assert_eq!(decode(tn3270, &pieces(input, *seed)), whole);
        let (text, breaks) = whole;
        assert!(text.len() + 2 * breaks <= input.len());
        if !input.contains(&0xff) {
            assert_eq!(text, input);
        }
    }
}

fn decode(tn3270: bool, pieces: &[&[u8]]) -> (Vec<u8>, usize) {
    let mut decoder = TelnetDecoder::new(tn3270);
    let (mut text, mut breaks) = (Vec::new(), 0);
    for piece in pieces {
        breaks += decoder.decode(piece, &mut text);
    }
    (text, breaks)
}

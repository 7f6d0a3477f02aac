/** First byte of a handshake frame; a sealed frame has the top bit set there. */
export const CALL_TYPE = 0x01;
export const ANSWER_TYPE = 0x02;

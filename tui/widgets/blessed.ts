// tput decides when it is made whether a terminal can show lines: without this, tmux and vt100 show letters for them.
process.env['NCURSES_NO_UTF8_ACS'] = '1';
export { default } from 'blessed';

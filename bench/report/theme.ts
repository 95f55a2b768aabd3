export interface Theme {
  name: 'light' | 'dark';
  text: string;
  muted: string;
  line: string;
  background: string;
}

export const light: Theme = { name: 'light', text: '#212529', muted: '#5c636a', line: '#e3e6e9', background: '#ffffff' };
export const dark: Theme = { name: 'dark', text: '#e9ecef', muted: '#a3abb2', line: '#33393f', background: '#1a1d21' };

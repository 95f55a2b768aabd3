const pillion = require('pillion');

process.stdout.write(JSON.stringify(Object.keys(pillion)));

import { bullmq } from 'afterspan/bullmq'
import { contract } from './contract.ts'

contract('in this process', 'in-process')
contract('BullMQ', { engine: () => bullmq({ connection: { host: '127.0.0.1', port: 7399 } }) })
